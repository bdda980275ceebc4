//! The `rewindow` command. Everything it can do is in the library; here is what a user types and reads.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
