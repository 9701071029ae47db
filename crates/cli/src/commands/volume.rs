//! `sampan volume`: volumes of the platform.

use serde_json::json;
use types::admin::volumes::{Answer, Command, Volume};

use crate::args::size::Megabytes;
use crate::args::volume::{VolumeArgs, VolumeCommand, VolumeCreateArgs, VolumeKind};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::output;

/// Runs the command.
pub async fn run(connection: &Connection, args: VolumeArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let command = match args.command {
        VolumeCommand::Create(args) => Command::Create { name: args.name.clone(), settings: settings(args) },
        VolumeCommand::List => Command::List {},
        VolumeCommand::Delete(args) => Command::Delete { name: args.name },
        VolumeCommand::Grow(args) => Command::Grow { name: args.name, size_mb: args.size.0.into() },
        VolumeCommand::Usage(args) => Command::Usage { name: args.name },
    };
    let answer = client.administer_volumes(&command).await?;
    match format {
        Output::Json => output::json(&match answer {
            Answer::Volumes(volumes) => json!({"volumes": volumes}),
            Answer::Created(volume) => json!(volume),
            Answer::Deleted { kept } => json!({"kept": kept}),
            Answer::Grown { now } => json!({"now": now}),
            Answer::Usage(usage) => json!(usage),
            Answer::Refused { .. } => json!({}),
        }),
        Output::Text => {
            print(&answer);
            Ok(())
        }
    }
}

/// Settings with the keys of `[volumes.NAME]`.
fn settings(args: VolumeCreateArgs) -> serde_json::Value {
    let kind = match args.kind {
        VolumeKind::Dir => "dir",
        VolumeKind::Tmpfs => "tmpfs",
        VolumeKind::Image => "image",
    };
    json!({
        "kind": kind, "path": args.path, "size_mb": args.size.map(|Megabytes(mb)| mb), "mode": args.mode,
        "squash": args.squash, "read_only": args.read_only,
    })
}

fn print(answer: &Answer) {
    match answer {
        Answer::Volumes(volumes) => {
            let rows: Vec<_> = volumes.iter().map(row).collect();
            output::table(&["NAME", "KIND", "PATH", "SIZE MB", "FROM", "MOUNTED BY", "STATE"], &rows);
        }
        Answer::Created(volume) => {
            println!("volume {} is at {}", volume.name, volume.path.as_deref().unwrap_or("no path"));
            println!("mount it with: sampan deploy FUNCTION --mount {}:/path", volume.name);
        }
        Answer::Deleted { kept: Some(kept) } => println!("the volume is deleted; its directory {kept} is kept"),
        Answer::Deleted { kept: None } => println!("the volume and its content are deleted"),
        Answer::Grown { now: true } => println!("the volume has its new size"),
        Answer::Grown { now: false } => {
            println!(
                "the volume has its new size from the next start of Sampan: this machine cannot grow a mounted volume"
            );
        }
        Answer::Usage(usage) => {
            let more = if usage.cut_short { " or more: too many files to count" } else { "" };
            println!("{} bytes in {} files{more}", usage.bytes, usage.files);
            println!("{} of {} bytes are free where it is", usage.free_bytes, usage.size_bytes);
        }
        Answer::Refused { .. } => {}
    }
}

fn row(volume: &Volume) -> Vec<String> {
    let mut state = Vec::new();
    if volume.read_only {
        state.push("read-only".to_owned());
    }
    if volume.squash {
        state.push("squash".to_owned());
    }
    state.extend(volume.problem.clone());
    vec![
        volume.name.to_string(),
        volume.kind.clone(),
        volume.path.clone().unwrap_or_default(),
        volume.size_mb.map(|mb| mb.to_string()).unwrap_or_default(),
        volume.origin.clone(),
        volume.mounted_by.join(", "),
        if state.is_empty() { "ok".to_owned() } else { state.join("; ") },
    ]
}
