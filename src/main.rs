//! The `tidegate` binary: parse, run, exit.

/// A page is many buffers, made on one thread and freed on another. glibc keeps what is free for the thread that it came from, and gets memory
/// of the system for each thread in small steps: measured in `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    tidegate::cli::main()
}
