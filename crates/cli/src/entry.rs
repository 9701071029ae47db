//! From the words of a command line to the exit code of the process.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::{self, Output};
use crate::failure::{self, Failure};

/// How long threads may take to end what they do when a command is done.
const RUNTIME_END_MAX: Duration = Duration::from_secs(10);

/// Reads the command line and does its work; `output` is how it wants its results.
pub fn run<L: Parser, W: Future<Output = anyhow::Result<()>>>(
    output: impl FnOnce(&L) -> Output,
    work: impl FnOnce(L) -> W,
) -> ExitCode {
    let line = match L::try_parse() {
        Ok(line) => line,
        Err(error) => return refuse(&error),
    };
    let format = output(&line);
    match block_on(work(line)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::of(&error).report(format),
    }
}

/// Prints what is wrong with the command line, or the help that it asks for.
fn refuse(error: &clap::Error) -> ExitCode {
    match failure::usage(error).filter(|_| args::asks_for_json(std::env::args_os())) {
        Some(failure) => failure.report(Output::Json),
        None => error.exit(),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // The process has one TLS provider; choosing it a second time cannot happen here.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // After a fault a thread may hang in what it does.
    runtime.shutdown_timeout(RUNTIME_END_MAX);
    done
}
