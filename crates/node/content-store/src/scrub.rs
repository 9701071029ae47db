//! Scrubs: all stored content is read and verified, at full speed on request, and rate limited
//! periodically and after an unclean stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use oci::Document;
use parking_lot::Mutex;

use crate::Error;
use crate::gc_roots::Item;
use crate::layers::Layers;
use crate::rate_limit::RateLimit;
use crate::sizes::layer_fits;
use crate::store::ContentStore;
use crate::verify::{Verified, Verifier};

/// Findings that a report keeps; further ones are only counted.
const FINDINGS_MAX: usize = 1000;
/// Unreadable items after which a scrub ends: then the disk has failed, not its content.
const UNREADABLE_MAX: u64 = 16;

/// A damaged item.
#[derive(Debug, Clone)]
pub struct Finding {
    /// `blob`, `layer` or `rootfs`.
    pub kind: &'static str,
    /// Its digest, or its name below `layers`.
    pub name: String,
    /// How the damage was detected.
    pub reason: String,
    /// Where it was moved; `None` when it could not be read and was left in place.
    pub set_aside: Option<PathBuf>,
    /// Owners of pins that reach it.
    pub owners: Vec<String>,
}

/// Progress or result of a scrub.
#[derive(Debug, Clone, Default)]
pub struct ScrubReport {
    /// Whether it runs.
    pub running: bool,
    /// Whether it ended early: the platform stopped, or too many items were unreadable.
    pub cut_short: bool,
    /// Items checked, of `items_total`.
    pub items: u64,
    /// Items present when it began.
    pub items_total: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Damaged items, the first thousand.
    pub findings: Vec<Finding>,
    /// Number of damaged items.
    pub findings_total: u64,
    /// Whether the kernel verifies reads of stored content (fs-verity).
    pub verity: bool,
}

/// One scrub.
struct Scrub {
    rate_limit: RateLimit,
    /// A further request during the scrub: it then repeats, so that it covers everything present at
    /// the request.
    asked_again: AtomicBool,
    items: AtomicU64,
    report: Mutex<ScrubReport>,
}

/// The scrubs of one store: one at a time.
#[derive(Default)]
pub struct Scrubs {
    current: Mutex<Option<Arc<Scrub>>>,
}

impl Scrubs {
    /// Begins a scrub, or lifts the limit of the running one, which then repeats, so that it covers
    /// everything present now. `bytes_per_s` limits it; 0 is no limit. Returns the blocking work of
    /// a new one.
    pub fn begin(
        &self,
        content: &ContentStore,
        layers: &Layers,
        bytes_per_s: u64,
    ) -> Option<impl FnOnce() -> Result<(), Error> + Send + use<>> {
        let mut current = self.current.lock();
        if let Some(last) = current.as_ref() {
            let report = last.report.lock();
            if report.running {
                if bytes_per_s == 0 {
                    last.asked_again.store(true, Ordering::Relaxed);
                    last.rate_limit.lift();
                }
                return None;
            }
        }
        let verity = content.verifier().has_verity();
        let report = Mutex::new(ScrubReport { running: true, verity, ..ScrubReport::default() });
        let (rate_limit, items, asked_again) = (RateLimit::of(bytes_per_s), AtomicU64::new(0), AtomicBool::new(false));
        let scrub = Arc::new(Scrub { rate_limit, asked_again, items, report });
        *current = Some(scrub.clone());
        let (content, layers) = (content.clone(), layers.clone());
        Some(move || scrub.run(&content, &layers))
    }

    /// Progress of the current scrub, or the result of the last one; `None` without one since the
    /// start.
    pub fn report(&self) -> Option<ScrubReport> {
        let scrub = self.current.lock().clone()?;
        let report = scrub.report.lock().clone();
        Some(ScrubReport { items: scrub.items.load(Ordering::Relaxed), bytes: scrub.rate_limit.read_bytes(), ..report })
    }

    /// Stops the running scrub at its next chunk.
    pub fn stop(&self) {
        if let Some(scrub) = &*self.current.lock() {
            scrub.rate_limit.stop();
        }
    }
}

impl Scrub {
    fn run(&self, content: &ContentStore, layers: &Layers) -> Result<(), Error> {
        let (ended, mut report) = loop {
            let ended = self.look_at_all(content, layers);
            // `begin` reads `running` under this lock: a request joins this scrub or begins
            // another.
            let mut report = self.report.lock();
            if ended.is_err() || report.cut_short || !self.asked_again.swap(false, Ordering::Relaxed) {
                break (ended, report);
            }
            self.items.store(0, Ordering::Relaxed);
            // Unreadable items are found again.
            let all = report.findings.len();
            report.findings.retain(|finding| finding.set_aside.is_some());
            report.findings_total -= (all - report.findings.len()) as u64;
        };
        report.running = false;
        report.cut_short |= ended.is_err();
        let (items, bytes, bad) =
            (self.items.load(Ordering::Relaxed), self.rate_limit.read_bytes(), report.findings_total);
        if report.cut_short {
            tracing::info!(items, bytes, bad, "a scrub ended early");
        } else {
            tracing::info!(items, bytes, bad, "a scrub has read all content");
            note_end(content);
        }
        ended
    }

    fn look_at_all(&self, content: &ContentStore, layers: &Layers) -> Result<(), Error> {
        let mut items = content.list()?;
        items.extend(layers.list()?.into_iter().map(|(name, _)| Item::Layer(name)));
        self.report.lock().items_total = items.len() as u64;
        let mut unreadable = 0;
        for item in items {
            match content.verifier().verify_now(&item, &self.rate_limit)? {
                Verified::Intact | Verified::Absent => {}
                Verified::SetAside { reason, place } => self.found(content, &item, reason, Some(place)),
                Verified::Unreadable { reason } => {
                    self.found(content, &item, reason, None);
                    unreadable += 1;
                }
                Verified::Stopped => unreadable = UNREADABLE_MAX,
            }
            if unreadable >= UNREADABLE_MAX {
                self.report.lock().cut_short = true;
                return Ok(());
            }
            self.items.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn found(&self, content: &ContentStore, item: &Item, reason: String, place: Option<PathBuf>) {
        let (kind, name) = match item {
            Item::Blob(digest) => ("blob", digest.to_string()),
            Item::Layer(name) if name.diff_id().is_some() => ("layer", name.as_str().to_owned()),
            Item::Layer(name) => ("rootfs", name.as_str().to_owned()),
        };
        if place.is_none() {
            tracing::error!(kind, name, reason, "content cannot be read");
        }
        let mut report = self.report.lock();
        report.findings_total += 1;
        if report.findings.len() < FINDINGS_MAX {
            let owners = content.owners_of(item);
            report.findings.push(Finding { kind, name, reason, set_aside: place, owners });
        }
    }
}

/// Records the end of a complete scrub.
fn note_end(content: &ContentStore) {
    let path = content.layout().scrubbed();
    if let Err(error) = std::fs::write(&path, "") {
        tracing::warn!(path = %path.display(), %error, "cannot store the time of the last scrub");
    }
}

/// Time until the next scrub; `None` for never.
pub fn due(content: &ContentStore) -> Option<Duration> {
    let interval = Duration::from_secs(Some(content.config().scrub_interval_s).filter(|s| *s > 0)?);
    let last = std::fs::metadata(content.layout().scrubbed()).and_then(|meta| meta.modified());
    let since = last.ok().and_then(|last| SystemTime::now().duration_since(last).ok());
    Some(since.map_or(Duration::ZERO, |since| interval.saturating_sub(since)))
}

/// Checks the lengths of all files, as after an unclean stop, and quarantines items that are too
/// short or too long. Blocks for some microseconds per item. Returns their number.
///
/// # Errors
/// `Io`.
pub fn check_sizes(content: &ContentStore, layers: &Layers) -> Result<u64, Error> {
    let verifier = content.verifier();
    let mut bad = 0;
    for (name, _) in layers.list()? {
        if name.diff_id().is_some() && !matches!(layer_fits(layers, &name), Ok(true)) {
            bad += set_aside(verifier, &Item::Layer(name))?;
        }
    }
    let documents = content.pins("").into_iter().map(|(_, digest)| digest);
    let documents: std::collections::HashSet<_> = documents.collect();
    for digest in documents {
        let Ok(Some(bytes)) = content.blobs().read_document(&digest) else { continue };
        let Ok(Document::Manifest(manifest)) = Document::read(&bytes) else { continue };
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            if content.size_now(&blob.digest)?.is_some_and(|bytes| bytes != blob.size) {
                bad += set_aside(verifier, &Item::Blob(blob.digest.clone()))?;
            }
        }
    }
    Ok(bad)
}

fn set_aside(verifier: &Verifier, item: &Item) -> Result<u64, Error> {
    let ended = verifier.set_aside(item, "it has not the length that it had".to_owned())?;
    Ok(u64::from(matches!(ended, Verified::SetAside { .. })))
}
