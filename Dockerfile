# The image of Tidegate: one static binary, what it needs of a system, and nothing else: no shell, no package manager, no libc.
#
#   docker build -t tidegate:0.1.0 .
#   docker run --rm -v "$PWD:/etc/tidegate:ro" tidegate:0.1.0 validate /etc/tidegate/shop.yaml
#
# There is no Docker where the project's checks run: `.ci/container` lays the same root file system by the same script, and runs the
# binary in it as the image would.

FROM rust:1.95-bookworm AS build
WORKDIR /build
# glibc within the binary; its resolver has been part of libc.a since 2.34. With a target of its own, the flags aren't those of build
# scripts and macros, which have to be dynamic.
ENV CARGO_BUILD_TARGET=x86_64-unknown-linux-gnu CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies, in a layer that lasts until the manifest changes. Its targets need files, which are empty here.
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY .cargo .cargo
COPY benches benches
RUN mkdir -p src tests/it && touch src/lib.rs tests/it/main.rs && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked && rm -r src

COPY pipelines pipelines
COPY src src
COPY deploy/rootfs.sh deploy/
# Newer than what was built of the empty files.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked \
    && deploy/rootfs.sh target/$CARGO_BUILD_TARGET/release/tidegate /rootfs

FROM scratch
COPY --from=build /rootfs/ /
# Time zones are in the binary. An authority of your own is named in the pipeline file, by `tls.ca_file`.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt TMPDIR=/tmp
USER 65532:65532
# No HEALTHCHECK stands here, since most containers of it run once and serve nothing. One of `serve` is asked by the binary itself, in
# Compose: `healthcheck: {test: ["CMD", "/tidegate", "health"]}`.
ENTRYPOINT ["/tidegate"]
CMD ["--help"]
