//! `sampan images` and `sampan scrub`: lists, prunes and verifies the platform's images.

use std::time::Duration;

use serde_json::json;

use crate::args::images::{ImagesArgs, ImagesCommand, PruneArgs, ScrubArgs};
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::{local_time, output};
use types::admin::images::{Answer, Command, Found, Image, Scrub};

/// Polling interval of a scrub.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Longest wait for the repair of damage, which may pull from a registry.
const REPAIR_WAIT_MAX: Duration = Duration::from_secs(30);

/// Runs `sampan images`.
pub async fn run(connection: &Connection, args: ImagesArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    match args.command {
        Some(ImagesCommand::Prune(prune)) => prune_images(&client, &prune, format).await,
        None => list(&client, args.untagged, format).await,
    }
}

async fn list(client: &Client, untagged: bool, format: Output) -> anyhow::Result<()> {
    let Answer::Images(mut images) = client.administer_images(&Command::List {}).await? else {
        return Err(unexpected());
    };
    images.retain(|image| !untagged || image.kept == "untagged");
    match format {
        Output::Json => output::json(&json!({ "images": images })),
        Output::Text => {
            show(&images);
            Ok(())
        }
    }
}

fn show(images: &[Image]) {
    let row = |image: &Image| {
        let tags = if image.tags.is_empty() { format!("({})", image.kept) } else { image.tags.join(",") };
        let changed = local_time::rfc3339(i64::try_from(image.changed_ms).unwrap_or(i64::MAX));
        vec![image.repository.clone(), tags, image.digest.clone(), image.bytes.to_string(), changed]
    };
    output::table(&["REPOSITORY", "TAGS", "DIGEST", "BYTES", "CHANGED"], &images.iter().map(row).collect::<Vec<_>>());
}

async fn prune_images(client: &Client, args: &PruneArgs, format: Output) -> anyhow::Result<()> {
    let command = Command::Prune { older_than_s: args.older_than.as_secs(), dry_run: args.dry_run };
    let Answer::Pruned(pruned) = client.administer_images(&command).await? else { return Err(unexpected()) };
    if format == Output::Json {
        return output::json(&pruned);
    }
    if !pruned.images.is_empty() {
        show(&pruned.images);
    }
    let (count, bytes) = (pruned.images.len(), pruned.freed_bytes);
    if pruned.dry_run {
        println!("would remove {count} untagged images, and free {bytes} bytes of disk space");
    } else {
        println!("removed {count} untagged images; {bytes} bytes of disk space were freed");
    }
    Ok(())
}

/// Runs `sampan scrub`. Fails if anything was damaged, even if it was repaired.
pub async fn scrub(connection: &Connection, args: ScrubArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    let mut report = request_scrub(&client, true).await?;
    if args.detach {
        return print_report(&report, format);
    }
    let bar = output::spinner(format, "verifying all content".to_owned());
    while report.running {
        tokio::time::sleep(POLL_INTERVAL).await;
        report = request_scrub(&client, false).await?;
        bar.set_message(format!("{} of {} checked, {} bytes", report.items, report.items_total, report.bytes));
    }
    let waited = tokio::time::Instant::now();
    // Functions run from layers; the blobs that layers were made from are needed only for pulls
    // from the registry.
    let is_functions = |found: &Found| found.needed_by.iter().any(|by| by.starts_with("function "));
    let waits = |found: &Found| !found.healed && found.kind != "blob" && is_functions(found);
    while report.found.iter().any(waits) && waited.elapsed() < REPAIR_WAIT_MAX {
        bar.set_message("waiting for the repair of images".to_owned());
        tokio::time::sleep(POLL_INTERVAL).await;
        report = request_scrub(&client, false).await?;
    }
    bar.finish_and_clear();
    print_report(&report, format)?;
    if report.found_total > 0 {
        let message = format!("{} damaged objects were found", report.found_total);
        let hint = "Push the images of named repositories again, and check the disk.";
        return Err(Failure::new(Exit::Failed, message, hint).into());
    }
    if report.cut_short {
        let hint = "See the platform's log, and try again.";
        return Err(Failure::new(Exit::Failed, "the scrub ended before it had verified everything", hint).into());
    }
    Ok(())
}

async fn request_scrub(client: &Client, begin: bool) -> anyhow::Result<Scrub> {
    match client.administer_images(&Command::Scrub { begin }).await? {
        Answer::Scrub(report) => Ok(report),
        _ => Err(unexpected()),
    }
}

fn print_report(report: &Scrub, format: Output) -> anyhow::Result<()> {
    if format == Output::Json {
        return output::json(report);
    }
    println!("{} of {} objects verified, {} bytes", report.items, report.items_total, report.bytes);
    for found in &report.found {
        let done = match (&found.set_aside, found.healed) {
            (None, _) => "left in place: cannot be read".to_owned(),
            (Some(place), true) => format!("restored; the damaged content is in {place}"),
            (Some(place), false) => format!("moved to {place}"),
        };
        println!("bad {} {}: {}; {done}", found.kind, found.name, found.reason);
        for needed_by in &found.needed_by {
            println!("  needed by {needed_by}");
        }
    }
    Ok(())
}

fn unexpected() -> anyhow::Error {
    anyhow::anyhow!("the platform's answer does not match the request; is its version different?")
}
