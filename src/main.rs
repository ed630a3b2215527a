//! The `tidegate` binary: parse, run, exit.

/// Values of jq programs are many small allocations, made and freed on different threads: with glibc's allocator a third of their
/// time goes there. `docs/performance.md` has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tidegate::cli::main()
}
