//! `sampan secret`: sets, lists, deletes and audits secrets; values are write-only.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use types::admin::secrets::{Answer, AuditAction, AuditEntry, Command, Listed, ListedVersion};
use types::{Secret, SecretBytes};

use crate::args::secret::{SecretArgs, SecretCommand, SecretSetArgs};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::local_time;
use crate::output;

/// Longest value that is read, in bytes; above every useful setting of the platform's limit.
const VALUE_BYTES_MAX: u64 = 16 << 20;

/// Runs the command.
pub async fn run(connection: &Connection, args: SecretArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let command = match args.command {
        SecretCommand::Set(args) => {
            client.may_carry_secrets()?;
            set(args, format)?
        }
        SecretCommand::List(args) => Command::List { namespace: args.namespace },
        SecretCommand::Versions(args) => Command::Versions { namespace: args.namespace, name: args.name },
        SecretCommand::Delete(args) => {
            Command::Delete { namespace: args.namespace, name: args.name, version: args.version }
        }
        SecretCommand::Audit(args) => {
            Command::Audit { namespace: args.namespace, name: args.name, limit: args.limit.into() }
        }
    };
    let answer = client.administer_secrets(&command).await?;
    match format {
        Output::Json => output::json(&match answer {
            Answer::Set { version, restarted } => json!({"version": version, "restarted": restarted}),
            Answer::Secrets(secrets) => json!({"secrets": secrets}),
            Answer::Versions(versions) => json!({"versions": versions}),
            Answer::Audit(lines) => json!({"lines": lines}),
            Answer::Deleted {} | Answer::Refused { .. } => json!({}),
        }),
        Output::Text => {
            print(&answer);
            Ok(())
        }
    }
}

fn set(args: SecretSetArgs, format: Output) -> anyhow::Result<Command> {
    let value = read(args.file.as_deref())?;
    let bytes = value.reveal();
    let trimmed = bytes.strip_suffix(b"\n").map(|rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    let bytes = match trimmed {
        Some(trimmed) if args.trim => trimmed,
        Some(_) if format == Output::Text => {
            eprintln!("note: the value ends with a line break, which is stored with it; --trim removes it");
            bytes
        }
        _ => bytes,
    };
    let value = Secret::new(STANDARD.encode(bytes));
    Ok(Command::Set { namespace: args.namespace, name: args.name, value })
}

/// Reads a value from a file or from standard input.
fn read(file: Option<&Path>) -> anyhow::Result<SecretBytes> {
    let mut bytes = Vec::new();
    match file {
        Some(file) => {
            let open = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            open.take(VALUE_BYTES_MAX + 1)
                .read_to_end(&mut bytes)
                .with_context(|| format!("cannot read {}", file.display()))?
        }
        None => {
            let input = std::io::stdin().lock().take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes);
            input.context("cannot read standard input")?
        }
    };
    let value = SecretBytes::new(bytes);
    anyhow::ensure!(value.reveal().len() as u64 <= VALUE_BYTES_MAX, "the value is longer than {VALUE_BYTES_MAX} bytes");
    Ok(value)
}

fn print(answer: &Answer) {
    match answer {
        Answer::Set { version, restarted: 0 } => println!("version {version} is set"),
        Answer::Set { version, restarted } => {
            println!("version {version} is set; instances of {restarted} versions of functions are replaced");
        }
        Answer::Secrets(secrets) => {
            let rows: Vec<_> = secrets.iter().map(row).collect();
            output::table(&["NAMESPACE", "NAME", "NEWEST", "VERSIONS", "SET", "USED BY"], &rows);
        }
        Answer::Versions(versions) => {
            let rows: Vec<_> = versions.iter().map(version_row).collect();
            output::table(&["VERSION", "BYTES", "SET", "USED BY"], &rows);
        }
        Answer::Audit(lines) => {
            let rows: Vec<_> = lines.iter().map(audit_row).collect();
            output::table(&["TIME", "ACTION", "SECRET", "VERSION", "BY", "INSTANCE"], &rows);
        }
        Answer::Deleted {} => println!("deleted"),
        Answer::Refused { .. } => {}
    }
}

fn row(secret: &Listed) -> Vec<String> {
    vec![
        secret.namespace.to_string(),
        secret.name.to_string(),
        secret.newest.to_string(),
        secret.versions.to_string(),
        local_time::rfc3339_s(secret.set_ms),
        secret.used_by.join(", "),
    ]
}

fn audit_row(line: &AuditEntry) -> Vec<String> {
    let action = match line.action {
        AuditAction::Set => "set".to_owned(),
        AuditAction::Delete => "delete".to_owned(),
        AuditAction::Read => "read".to_owned(),
        AuditAction::Lost => format!("{} reads not recorded", line.count.unwrap_or_default()),
    };
    let secret = line.namespace.as_ref().zip(line.name.as_ref()).map(|(namespace, name)| format!("{namespace}/{name}"));
    let function = line.function.as_ref().zip(line.function_version.as_ref());
    let function = function.map(|(name, version)| format!("{name}:{version}"));
    vec![
        local_time::rfc3339(line.time_ms),
        action,
        secret.unwrap_or_default(),
        line.version.map(|version| version.to_string()).unwrap_or_default(),
        line.by.clone().or(function).unwrap_or_default(),
        line.instance.clone().unwrap_or_default(),
    ]
}

fn version_row(version: &ListedVersion) -> Vec<String> {
    vec![
        version.version.to_string(),
        version.bytes.to_string(),
        local_time::rfc3339_s(version.set_ms),
        version.used_by.join(", "),
    ]
}
