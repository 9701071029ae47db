//! `sampan` for machines that only call a platform: the client commands, without sandbox, images and store.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use cli::args::Cli;

fn main() -> ExitCode {
    cli::entry::run(
        |line: &Cli| line.output,
        |line: Cli| async move { cli::commands::run(&line.connection, line.command, line.output).await },
    )
}
