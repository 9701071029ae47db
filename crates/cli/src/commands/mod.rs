//! Client commands, each a thin wrapper of the API, the registry or the gateway.

mod alias;
pub mod delete;
mod deploy;
mod domain;
mod events;
mod get;
mod images;
mod invoke;
mod invoke_async;
mod job;
mod list;
mod logs;
mod provision;
mod publish;
mod push;
mod quota;
mod registry;
mod rollout;
mod secret;
mod suggest;
mod trigger;
mod volume;

use registry_client::Config;

use crate::args::{Command, Connection, Output};
use crate::client::Client;
use crate::declared;

/// Runs one of the client commands; `registries` returns the registry client's limits, for pushes.
pub async fn run(
    connection: &Connection,
    command: Command,
    output: Output,
    registries: impl FnOnce() -> anyhow::Result<Config>,
) -> anyhow::Result<()> {
    let Err(error) = run_one(connection, command, output, registries).await else { return Ok(()) };
    match Client::new(connection) {
        Ok(client) => Err(suggest::complete(&client, error).await),
        Err(_) => Err(error),
    }
}

async fn run_one(
    connection: &Connection,
    command: Command,
    output: Output,
    registries: impl FnOnce() -> anyhow::Result<Config>,
) -> anyhow::Result<()> {
    match command {
        Command::Push(args) => push::run(connection, args, output, registries()?).await,
        Command::Deploy(args) if !args.file.is_empty() => declared::deploy(connection, &args, output).await,
        Command::Schema => {
            declared::print_schema();
            Ok(())
        }
        Command::Import(args) => declared::import(&args),
        Command::Export(args) => declared::export(connection, &args).await,
        Command::Diff(args) => declared::diff(connection, &args, output).await,
        Command::Deploy(args) => deploy::run(connection, *args, output).await,
        Command::Invoke(args) => invoke::run(connection, args, output).await,
        Command::Job(args) => job::run(connection, args, output).await,
        Command::Events(args) => events::run(connection, args, output).await,
        Command::Logs(args) => logs::run(connection, args, output).await,
        Command::List(args) => list::run(connection, args, output).await,
        Command::Get(args) => get::run(connection, args, output).await,
        Command::Registry(args) => registry::run(connection, args, output).await,
        Command::Delete(args) if !args.file.is_empty() => declared::delete(connection, &args, output).await,
        Command::Delete(args) => delete::run(connection, args, output).await,
        Command::Publish(args) => publish::run(connection, args, output).await,
        Command::Alias(args) => alias::run(connection, args, output).await,
        Command::Domain(args) => domain::run(connection, args, output).await,
        Command::Secret(args) => secret::run(connection, args, output).await,
        Command::Volume(args) => volume::run(connection, args, output).await,
        Command::Trigger(args) => trigger::run(connection, args, output).await,
        Command::Provision(args) => provision::run(connection, args, output).await,
        Command::Images(args) => images::run(connection, args, output).await,
        Command::Scrub(args) => images::scrub(connection, args, output).await,
        Command::Quota(args) => quota::run(connection, args, output).await,
        Command::Rollout(args) => rollout::run(connection, *args, output).await,
    }
}
