//! The `sampan` binary: `sampan up` runs the platform, all other commands are its clients.
//!
//! This file parses arguments and reports failures; `up` wires the platform.
#![forbid(unsafe_code)]

// `cli`'s `println!` and `eprintln!` shadow those of std in all modules below.
#[macro_use(println, eprintln)]
extern crate cli;

mod args;
mod commands;
mod credentials;
mod settings;
mod up;

use std::process::ExitCode;

use cli::{failure, output, print};

use crate::args::{Cli, Command, UpArgs};

/// The C library's allocator takes a tenth more processor time per warm call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::entry::run(|line: &Cli| line.output, run)
}

async fn run(line: Cli) -> anyhow::Result<()> {
    let Cli { command, connection, output } = line;
    let region = connection.region.clone();
    match command {
        Command::Up(args) => up::run(UpArgs { region, ..*args }, output).await,
        Command::Backup(args) => commands::backup::back_up(args, output).await,
        Command::Restore(args) => commands::backup::restore(args, output).await,
        Command::Config(args) => commands::config::run(&UpArgs { region, ..args }, output),
        Command::Doctor(args) => commands::doctor::run(&args, output),
        Command::Client(command) => {
            let registries = || Ok(settings::load(&UpArgs::default()).unwrap_or_default().image.registry_client());
            cli::commands::run(&connection, command, output, registries).await
        }
    }
}
