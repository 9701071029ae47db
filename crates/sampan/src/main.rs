//! The `sampan` binary: `sampan up` brings the platform up, every other command is a client of it.
//!
//! Owns wiring, configuration and what a person sees in a terminal. Decides nothing about functions or instances.
#![forbid(unsafe_code)]

// First, so that its macros hold in all that follow.
#[macro_use]
mod print;

mod args;
mod client;
mod commands;
mod credentials;
mod failure;
mod images_admin;
mod local_time;
mod output;
mod push;
mod settings;
mod terminal;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::{Cli, Command, Output, UpArgs};
use crate::failure::Failure;

/// The C library's allocator took a tenth of the processor time of a warm call more than this one does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long threads may take to end what they do when a command is done.
const RUNTIME_END_MAX: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let output = cli.output;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::of(&error).report(output),
    }
}

/// Says what is wrong with the command line, or shows the help that it asks for.
fn refuse(error: &clap::Error) -> ExitCode {
    match failure::usage(error).filter(|_| args::asks_for_json(std::env::args_os())) {
        Some(failure) => failure.report(Output::Json),
        None => error.exit(),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    // The process has one TLS provider; choosing it a second time cannot happen here.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let output = cli.output;
    let region = cli.connection.region.clone();
    let done = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::run(UpArgs { region, ..*args }, output).await,
            Command::Backup(args) => commands::backup::back_up(args, output).await,
            Command::Restore(args) => commands::backup::restore(args, output).await,
            Command::Config(args) => commands::config::run(&UpArgs { region, ..args }, output),
            Command::Doctor(args) => commands::doctor::run(&args, output),
            Command::Push(args) => commands::push::run(&cli.connection, args, output).await,
            Command::Deploy(args) => commands::deploy::run(&cli.connection, *args, output).await,
            Command::Invoke(args) => commands::invoke::run(&cli.connection, args, output).await,
            Command::Logs(args) => commands::logs::run(&cli.connection, args, output).await,
            Command::List(args) => commands::list::run(&cli.connection, args, output).await,
            Command::Get(args) => commands::get::run(&cli.connection, args, output).await,
            Command::Registry(args) => commands::registry::run(&cli.connection, args, output).await,
            Command::Delete(args) => commands::delete::run(&cli.connection, args, output).await,
            Command::Publish(args) => commands::publish::run(&cli.connection, args, output).await,
            Command::Alias(args) => commands::alias::run(&cli.connection, args, output).await,
            Command::Domain(args) => commands::domain::run(&cli.connection, args, output).await,
            Command::Provision(args) => commands::provision::run(&cli.connection, args, output).await,
            Command::Images(args) => commands::images::run(&cli.connection, args, output).await,
            Command::Scrub(args) => commands::images::scrub(&cli.connection, args, output).await,
            Command::Quota(args) => commands::quota::run(&cli.connection, args, output).await,
            Command::Rollout(args) => commands::rollout::run(&cli.connection, *args, output).await,
        }
    });
    // After a fault a thread may hang in what it does.
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    done
}
