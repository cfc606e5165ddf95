//! The command line, or the bounded child that fetches.

use std::process::ExitCode;

use tidegate::clients::git;

fn main() -> ExitCode {
    // Before anything else: the child limits itself first.
    if std::env::args_os().nth(1).is_some_and(|word| word == git::child::SUBCOMMAND) {
        return git::child::main();
    }
    git::start();
    tidegate::cli::main()
}
