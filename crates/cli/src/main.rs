//! The client-only `sampan` binary, for machines that call a platform elsewhere.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use cli::args::Cli;

fn main() -> ExitCode {
    cli::entry::run(
        |line: &Cli| line.output,
        |line: Cli| async move {
            cli::commands::run(&line.connection, line.command, line.output, cli::push::config_of_environment).await
        },
    )
}
