//! The `sampan` binary: `sampan up` runs the platform, all other commands are its clients.
//!
//! It parses arguments and reports failures; the platform is wired in `up`.
#![forbid(unsafe_code)]

// Its `println!` and `eprintln!` shadow the library's in all modules below.
#[macro_use(println, eprintln)]
extern crate cli;

mod args;
mod commands;
mod credentials;
mod push;
mod settings;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cli::{failure, output, print};

use crate::args::{Cli, Command, Output, UpArgs};
use crate::failure::Failure;

/// The C library's allocator took a tenth more processor time per warm call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Timeout of threads that still run when a command is done.
const RUNTIME_END_MAX: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let command_line = match Cli::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return refuse(&error),
    };
    let output = command_line.output;
    match run(command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::of(&error).report(output),
    }
}

/// Reports an invalid command line, or prints the requested help.
fn refuse(error: &clap::Error) -> ExitCode {
    match failure::usage(error).filter(|_| cli::args::asks_for_json(std::env::args_os())) {
        Some(failure) => failure.report(Output::Json),
        None => error.exit(),
    }
}

fn run(command_line: Cli) -> anyhow::Result<()> {
    // Installed once per process; it cannot be installed already.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = command_line.output;
    let region = command_line.connection.region.clone();
    let done = runtime.block_on(async {
        match command_line.command {
            Command::Up(args) => up::run(UpArgs { region, ..*args }, output).await,
            Command::Backup(args) => commands::backup::back_up(args, output).await,
            Command::Restore(args) => commands::backup::restore(args, output).await,
            Command::Config(args) => commands::config::run(&UpArgs { region, ..args }, output),
            Command::Doctor(args) => commands::doctor::run(&args, output),
            Command::Push(args) => commands::push::run(&command_line.connection, args, output).await,
            Command::Client(command) => cli::commands::run(&command_line.connection, command, output).await,
        }
    });
    // After a fault a thread may hang.
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    done
}
