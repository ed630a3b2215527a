//! The `tidegate` binary: parse, run, exit.

fn main() -> std::process::ExitCode {
    tidegate::cli::main()
}
