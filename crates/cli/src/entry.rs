//! Entry point shared by both binaries: parses arguments, runs the command, and returns its exit
//! code.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::{self, Output, command_line};
use crate::failure::{self, Failure};

/// Longest wait for threads that still run after the command.
const RUNTIME_END_MAX: Duration = Duration::from_secs(10);

/// Parses the arguments and runs the command; `output` returns the output format from them.
pub fn run<L: Parser, W: Future<Output = anyhow::Result<()>>>(
    output: impl FnOnce(&L) -> Output,
    work: impl FnOnce(L) -> W,
) -> ExitCode {
    let line = match command_line::parse(std::env::args_os()) {
        Ok(line) => line,
        Err(error) => return refuse(&error),
    };
    let format = output(&line);
    match block_on(work(line)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::of(&error).report(format),
    }
}

/// Reports an invalid command line, or prints the requested help.
fn refuse(error: &clap::Error) -> ExitCode {
    match failure::usage(error).filter(|_| args::asks_for_json(std::env::args_os())) {
        Some(failure) => failure.report(Output::Json),
        None => error.exit(),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // Called once per process, so installation cannot fail.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A thread may hang after a fault.
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    done
}
