//! Administration of images by signed requests: list, prune, scrub.

use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::request::Parts;
use image::{Finding, Images, ScrubReport};
use registry::{Registry, Retention, StoredImage};
use store::Store;
use types::admin::images::{ACTION, Answer, Command, Found, Image, PATH, Pruned, Scrub};

use super::administration::Administer;
use super::signed::{Refused, Signed};

/// State of the endpoint.
pub struct Administration {
    pub images: Images,
    pub registry: Registry,
    pub store: Store,
    pub signed: Signed,
}

impl Administer for Administration {
    const PATH: &'static str = PATH;
    type Answer = Answer;

    fn refusal(status: u16, message: String) -> Answer {
        Answer::Refused { status, message }
    }

    async fn answer(&self, parts: &Parts, body: Body) -> Result<Answer, Refused> {
        let command = self.signed.command(parts, body, ACTION).await?;
        self.run(command).await.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))
    }
}

impl Administration {
    async fn run(&self, command: Command) -> anyhow::Result<Answer> {
        match command {
            Command::List {} => {
                let images = self.registry.images().await.context("cannot list images")?;
                Ok(Answer::Images(images.iter().map(shown).collect()))
            }
            Command::Prune { older_than_s, dry_run } => self.prune(Duration::from_secs(older_than_s), dry_run).await,
            Command::Scrub { begin } => {
                if begin {
                    self.images.scrub();
                }
                let report = self.images.scrub_report().context("no scrub has run since the start")?;
                Ok(Answer::Scrub(self.scrub(report).await))
            }
        }
    }

    async fn prune(&self, older_than: Duration, dry_run: bool) -> anyhow::Result<Answer> {
        let pruned = self.registry.prune(older_than, dry_run).await.context("cannot remove untagged images")?;
        let collected = if dry_run {
            self.images.prune_preview(older_than, pruned.released).await
        } else {
            self.images.prune(older_than).await
        };
        let freed_bytes = collected.map_err(|error| anyhow::anyhow!(error.report()))?.bytes;
        let images = pruned.images.iter().map(shown).collect();
        Ok(Answer::Pruned(Pruned { dry_run, images, image_bytes: pruned.freed_bytes, freed_bytes }))
    }

    async fn scrub(&self, report: ScrubReport) -> Scrub {
        let mut found = Vec::new();
        for finding in report.findings {
            found.push(self.found(finding).await);
        }
        Scrub {
            running: report.running,
            cut_short: report.cut_short,
            items: report.items,
            items_total: report.items_total,
            bytes: report.bytes,
            fs_verity: report.verity,
            found,
            found_total: report.findings_total,
        }
    }

    async fn found(&self, finding: Finding) -> Found {
        let healed = self.images.is_there_again(&finding).await;
        let Finding { kind, name, reason, set_aside, owners } = finding;
        Found {
            kind: kind.to_owned(),
            name,
            reason,
            set_aside: set_aside.map(|place| place.display().to_string()),
            needed_by: owners.iter().map(|owner| self.named(owner)).collect(),
            healed,
        }
    }

    /// Display name of a pin's owner: a function and version, or a repository.
    fn named(&self, owner: &str) -> String {
        if let Some(rest) = owner.strip_prefix("function/") {
            let id = rest.split('/').next().unwrap_or_default();
            let catalog = self.store.catalog().load_full();
            let function = catalog.functions.iter().find(|(_, function)| function.record.id.to_string() == id);
            let version = rest.split('/').nth(1).unwrap_or_default();
            return match function {
                Some((key, _)) => format!("function {}/{} {version}", key.namespace, key.name),
                None => format!("function {id} {version}"),
            };
        }
        let stored = owner.strip_prefix("registry/").or_else(|| owner.strip_prefix("registry-blob/"));
        match stored.and_then(|rest| rest.split('@').next()) {
            Some(repository) => format!("repository {repository}"),
            None => owner.to_owned(),
        }
    }
}

fn shown(image: &StoredImage) -> Image {
    let kept = match image.retention {
        Retention::Tagged => "tagged",
        Retention::Deployed => "deployed",
        Retention::Named => "named",
        Retention::Untagged => "untagged",
    };
    Image {
        repository: image.repository.clone(),
        digest: image.digest.to_string(),
        tags: image.tags.clone(),
        kept: kept.to_owned(),
        bytes: image.size_bytes,
        changed_ms: image.changed_ms,
    }
}
