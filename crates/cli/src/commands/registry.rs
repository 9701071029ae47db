//! `sampan registry`: changes settings and logins of registries while the platform runs.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde_json::json;
use types::Secret;
use types::admin::registries::{Addition, Command, Listed, ListedLogin, NewLogin, Reply, Tested};

use crate::args::registry::{AddArgs, RegistryArgs, RegistryCommand};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::image_name::resolve;
use crate::{output, terminal};

/// Longest password or key, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Runs one of the commands.
pub async fn run(connection: &Connection, args: RegistryArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    match args.command {
        RegistryCommand::Add(args) => add(&client, *args, format).await,
        RegistryCommand::List => list(&client, format).await,
        RegistryCommand::Remove { host } => {
            client.administer(&Command::Remove { host: host.clone() }).await?;
            changed("removed", &host, format)
        }
        RegistryCommand::Test { target, registry_id } => test(&client, target, registry_id, format).await,
    }
}

async fn add(client: &Client, args: AddArgs, format: Output) -> anyhow::Result<()> {
    let host = args.host.clone();
    let addition = addition(args)?;
    if addition.login.is_some() {
        client.may_carry_secrets()?;
    }
    client.administer(&Command::Add(addition)).await?;
    changed("added", &host, format)
}

fn addition(args: AddArgs) -> anyhow::Result<Addition> {
    let ca_pem = args.ca.as_deref().map(|file| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read the authorities {}", file.display()))
    });
    let login = match (args.username, args.tcr, args.tcr_secret_id) {
        (Some(username), _, _) => {
            Some(NewLogin::Password { username, password: secret(args.password_file.as_deref())? })
        }
        (None, Some(registry_id), Some(secret_id)) => Some(NewLogin::Tcr {
            registry_id,
            secret_id,
            secret_key: secret(args.tcr_secret_key_file.as_deref())?,
            region: args.tcr_region,
            endpoint: args.tcr_endpoint,
        }),
        _ => None,
    };
    let ca_pem = ca_pem.transpose()?;
    let plain_http = args.plain_http.then_some(true);
    let addition = Addition { host: args.host, mirrors: args.mirror, ca_pem, plain_http, login };
    if addition == Addition::of(&addition.host) {
        return Err(Failure::new(
            Exit::Usage,
            format!("no settings are given for registry {}", addition.host),
            "Name a login, a mirror, an authority or --plain-http; `sampan registry add --help` shows how.",
        )
        .into());
    }
    Ok(addition)
}

/// Reads a secret from the first line of a file or of standard input.
fn secret(file: Option<&Path>) -> anyhow::Result<Secret> {
    let mut text = String::new();
    match file {
        Some(file) => {
            let open = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            open.take(SECRET_BYTES_MAX)
                .read_to_string(&mut text)
                .with_context(|| format!("cannot read {}", file.display()))?
        }
        None => {
            std::io::stdin().take(SECRET_BYTES_MAX).read_to_string(&mut text).context("cannot read standard input")?
        }
    };
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn changed(how: &str, host: &str, format: Output) -> anyhow::Result<()> {
    match format {
        Output::Json => output::json(&json!({how: host})),
        Output::Text => {
            println!("{how} {host}");
            Ok(())
        }
    }
}

async fn list(client: &Client, format: Output) -> anyhow::Result<()> {
    let Reply::Registries(registries) = client.administer(&Command::List {}).await? else { return Err(strange()) };
    match format {
        Output::Json => output::json(&registries),
        Output::Text => {
            let rows: Vec<Vec<String>> = registries.iter().map(row).collect();
            output::table(&["HOST", "LOGIN", "MIRRORS", "TLS", "SET BY"], &rows);
            Ok(())
        }
    }
}

fn row(listed: &Listed) -> Vec<String> {
    let login = match &listed.login {
        None => "-".to_owned(),
        Some(ListedLogin::Password { username }) => username.clone(),
        Some(ListedLogin::Tcr { registry_id, secret_id }) => format!("{registry_id} by {secret_id}"),
    };
    let tls = match (listed.plain_http, listed.ca) {
        (Some(true), _) => "none",
        (_, true) => "own authority",
        _ => "system's authorities",
    };
    let origin = match (listed.configured, listed.added) {
        (true, true) => "file, registry add",
        (true, false) => "file",
        _ => "registry add",
    };
    let mirrors = if listed.mirrors.is_empty() { "-".to_owned() } else { listed.mirrors.join(" ") };
    vec![listed.host.clone(), login, mirrors, tls.to_owned(), origin.to_owned()]
}

async fn test(client: &Client, target: String, registry_id: Option<String>, format: Output) -> anyhow::Result<()> {
    let target = own_or_named(client, target)?;
    let Reply::Tested(tested) = client.administer(&Command::Test { target, registry_id }).await? else {
        return Err(strange());
    };
    match format {
        Output::Json => output::json(&tested)?,
        Output::Text => show(&tested),
    }
    if tested.ok {
        return Ok(());
    }
    let missing = tested.places.iter().all(|place| place.code.as_deref() == Some("ImageNotFound"));
    let exit = if missing { Exit::NotFound } else { Exit::Connection };
    let cause = tested.places.last().and_then(|place| place.error.clone()).unwrap_or_default();
    Err(Failure::new(exit, format!("{} cannot be pulled: {cause}", tested.target), "").into())
}

/// Resolves a name without a host as an image of the platform's registry, as in `deploy`. Names
/// that only the platform can classify are passed on unchanged.
fn own_or_named(client: &Client, target: String) -> anyhow::Result<String> {
    let (name, port) = target.split_once(':').unwrap_or((&target, ""));
    let has_host = name.contains(['.', '/', '[']) || name == "localhost" || target.ends_with('/');
    if has_host || port.parse::<u16>().is_ok() {
        return Ok(target);
    }
    Ok(resolve(&target, Some(client.registry()))?.to_string())
}

fn show(tested: &Tested) {
    println!("{}", tested.target);
    for place in &tested.places {
        let kind = if place.mirror { "mirror" } else { "registry" };
        println!("{kind:12} {}", place.endpoint);
        println!("{:12} {}", "credentials", place.provider.as_deref().unwrap_or("none"));
        match (&place.digest, &place.error) {
            (_, Some(error)) => println!("{:12} {}", "failed", terminal::message(error)),
            (Some(digest), None) => println!("{:12} {digest}", "manifest"),
            (None, None) => println!("{:12} accepted", "answer"),
        }
    }
}

fn strange() -> anyhow::Error {
    Failure::new(
        Exit::Failed,
        "the platform's answer does not match the request",
        "Use the same version of sampan for both.",
    )
    .into()
}
