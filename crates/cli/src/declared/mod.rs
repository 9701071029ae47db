//! Declarations: `sampan.yaml`, which says what an installation should have, and the commands that
//! compare, deploy, delete, export and import it. They use the cloud API alone.

mod apply;
mod differences;
mod files;
mod model;
mod observe;
mod plan;
mod platform;
mod report;
mod schema;
mod variables;
mod yaml;

pub(crate) use yaml::nearest::nearest;

use std::time::Duration;

use serde_json::json;

use crate::args::declared::DiffArgs;
use crate::args::{Connection, DeployArgs, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output;

/// `sampan deploy -f`.
pub async fn deploy(connection: &Connection, args: &DeployArgs, format: Output) -> anyhow::Result<()> {
    let file = files::read(&args.file, &args.vars)?;
    let client = Client::new(connection)?;
    let wait_timeout = Duration::from_secs(args.wait_timeout);
    apply::Deploy { client: &client, file: &file, format, wait_timeout }.run().await
}

/// `sampan diff -f`: exit code 2 when something differs.
pub async fn diff(connection: &Connection, args: &DiffArgs, format: Output) -> anyhow::Result<()> {
    let file = files::read(&args.file, &args.vars)?;
    let client = Client::new(connection)?;
    let mut changes = Vec::new();
    for (name, function) in &file.functions {
        let image = platform::image::normal(&function.image, client.registry())?;
        let declared = model::Function { image, ..function.clone() }.filled();
        changes.push(plan::function(name, &declared, observe::function(&client, name).await?.as_ref()));
    }
    changes.retain(|change| change.act != plan::Act::Keep);
    match format {
        Output::Json => output::json(&json!({"project": file.project, "changes": changes}))?,
        Output::Text => changes.iter().for_each(report::change),
    }
    if changes.is_empty() {
        return Ok(());
    }
    let message = format!("{} of what is declared differs", changes.len());
    Err(Failure::new(Exit::Usage, message, "`sampan deploy -f` makes it so.").into())
}

/// `sampan schema`.
pub fn print_schema() {
    println!("{}", schema::SCHEMA.trim_end());
}
