//! Declarations: the file `sampan.yaml` with the desired state of an installation, and the commands
//! that compare, deploy, delete, export and import it. They use only the cloud API.

mod apply;
mod differences;
mod export;
mod files;
#[cfg(test)]
mod hostile;
mod import;
mod model;
mod observe;
mod order;
mod plan;
mod platform;
mod report;
mod schema;
mod text;
mod variables;
mod yaml;

pub use yaml::nearest::nearest;

use std::time::Duration;

use self::apply::{Mode, Run};
use crate::args::declared::{DiffArgs, ExportArgs, ImportArgs};
use crate::args::{Connection, DeleteArgs, DeployArgs, Output};
use crate::client::Client;
use crate::failure::Failure;
use crate::print;

/// Runs `sampan deploy -f`.
pub async fn deploy(connection: &Connection, args: &DeployArgs, format: Output) -> anyhow::Result<()> {
    let file = files::read(&args.file, &args.vars)?;
    let client = Client::new(connection)?;
    let wait_timeout = Duration::from_secs(args.wait_timeout);
    let run =
        Run { client: &client, file: &file, format, wait_timeout, mode: Mode::Deploy, prune: args.prune, quiet: false };
    run.run().await
}

/// Runs `sampan diff -f`; exits with code 2 on differences.
pub async fn diff(connection: &Connection, args: &DiffArgs, format: Output) -> anyhow::Result<()> {
    let file = files::read(&args.file, &args.vars)?;
    let client = Client::new(connection)?;
    let (wait_timeout, mode) = (Duration::ZERO, Mode::Compare);
    let run = Run { client: &client, file: &file, format, wait_timeout, mode, prune: args.prune, quiet: false };
    run.run().await
}

/// Runs `sampan delete -f`: removes items that the file declares and its project created.
pub async fn delete(connection: &Connection, args: &DeleteArgs, format: Output) -> anyhow::Result<()> {
    let file = files::read(&args.file, &args.vars)?;
    let client = Client::new(connection)?;
    let (wait_timeout, mode) = (Duration::ZERO, Mode::Deploy);
    Run { client: &client, file: &file, format, wait_timeout, mode, prune: false, quiet: false }.delete().await
}

/// Runs `sampan export`.
pub async fn export(connection: &Connection, args: &ExportArgs) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let file = export::file(&client, args.project.clone()).await?;
    print::bytes(yaml::write::document(&serde_json::to_value(file)?).as_bytes());
    Ok(())
}

/// Runs `sampan import`.
pub fn import(args: &ImportArgs) -> anyhow::Result<()> {
    let (name, text) = text::read(&args.file)?;
    let imported = import::read(&name, &text).map_err(Failure::from)?;
    for line in imported.left_out {
        eprintln!("{line}");
    }
    print::bytes(imported.text.as_bytes());
    Ok(())
}

/// Runs `sampan schema`.
pub fn print_schema() {
    println!("{}", schema::SCHEMA.trim_end());
}
