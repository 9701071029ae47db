//! Verification that stored content is what was written.
//!
//! - `sizes` compares lengths, at no cost: after an unclean stop, and before a root file system is
//!   mounted.
//! - [`Verifier::verify`] reads and hashes: when an image is prepared, when a push asks for a blob,
//!   and in a scrub. Content that this process verified recently and that has not been written to
//!   since (`stamp`) is not read again.
//! - Damaged content is moved to `quarantine` at once and is absent from then on, so that its users
//!   fetch it again; [`Verifier::damage`] notifies repairs.
//! - Where the file system supports fs-verity, it is enabled for retained content: the kernel then
//!   fails reads of damaged data.

mod check;
mod stamp;

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use types::Digest;

use self::check::Checked;
use self::stamp::{FileState, Stamps};
use crate::gc_roots::Item;
use crate::layout::Layout;
use crate::quarantine::Quarantine;
use crate::rate_limit::RateLimit;
use crate::{Config, Error};

/// Documents whose errors are remembered, so that each is logged once.
const LOGGED_MAX: usize = 1000;

/// Result of a verification.
#[derive(Debug)]
pub enum Verified {
    /// The content is as written.
    Intact,
    /// It does not exist.
    Absent,
    /// It was damaged and has been quarantined.
    SetAside {
        /// How that was detected.
        reason: String,
        /// Its path now.
        place: std::path::PathBuf,
    },
    /// It cannot be read; it was left in place.
    Unreadable {
        /// The kernel's error.
        reason: String,
    },
    /// The check was stopped.
    Stopped,
}

/// Verifies the content of one store; clones share it.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    quarantine: Quarantine,
    stamps: Stamps,
    /// Number of damaged items found.
    damage: watch::Sender<u64>,
    verified_keep: Duration,
    has_verity: bool,
    /// Documents whose read error was logged.
    logged: Mutex<HashSet<Digest>>,
}

impl Verifier {
    /// Probes the file system's features; blocks.
    pub(crate) fn new(layout: Layout, config: &Config) -> Self {
        let quarantine = Quarantine::new(layout.clone(), config.quarantine_bytes_max);
        let has_verity = has_verity(&layout);
        let verified_keep = Duration::from_secs(config.verified_keep_s);
        let (stamps, damage) = (Stamps::default(), watch::Sender::new(0));
        Self {
            inner: Arc::new(Inner {
                layout,
                quarantine,
                stamps,
                damage,
                verified_keep,
                has_verity,
                logged: Mutex::default(),
            }),
        }
    }

    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.inner.quarantine
    }

    /// Whether the kernel verifies reads of stored content.
    pub(crate) fn has_verity(&self) -> bool {
        self.inner.has_verity
    }

    /// A counter of damaged items that notifies of changes.
    pub fn damage(&self) -> watch::Receiver<u64> {
        self.inner.damage.subscribe()
    }

    /// Number of damaged items found.
    pub fn damage_count(&self) -> u64 {
        *self.inner.damage.borrow()
    }

    /// Records that an item was just written completely.
    pub(crate) fn wrote(&self, item: &Item) {
        // If its state cannot be read, it is verified before its next use.
        if let Ok(states) = FileState::of_all(&check::files(&self.inner.layout, item)) {
            self.inner.stamps.set(item, states);
        }
        if self.inner.has_verity
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // It reads whole files, so it must not delay a caller.
            let (verifier, item) = (self.clone(), item.clone());
            runtime.spawn_blocking(move || verifier.seal(&item));
        }
    }

    /// Verifies an item before its use, unless it was verified recently. Blocks. An unreadable item
    /// is quarantined like a damaged one, since it can be fetched again.
    ///
    /// # Errors
    /// `Io`.
    pub fn verify(&self, item: &Item) -> Result<Verified, Error> {
        let states = self.states(item)?;
        if self.inner.stamps.is_fresh(item, &states, self.inner.verified_keep) {
            return Ok(Verified::Intact);
        }
        match self.verify_now(item, &RateLimit::unbounded())? {
            Verified::Unreadable { reason } => self.set_aside(item, reason),
            verified => Ok(verified),
        }
    }

    /// Reads and verifies an item even if it was verified recently. Blocks.
    pub(crate) fn verify_now(&self, item: &Item, rate_limit: &RateLimit) -> Result<Verified, Error> {
        let before = self.states(item)?;
        match check::check(&self.inner.layout, item, rate_limit) {
            Checked::Intact => {
                self.inner.stamps.set(item, before);
                Ok(Verified::Intact)
            }
            Checked::Absent => Ok(Verified::Absent),
            Checked::Stopped => Ok(Verified::Stopped),
            // The item was replaced meanwhile.
            Checked::Bad(_) | Checked::Unreadable(..) if self.states(item)? != before => Ok(Verified::Absent),
            Checked::Bad(reason) => self.set_aside(item, reason),
            Checked::Unreadable(path, error) => {
                let reason = format!("{} cannot be read: {error}", path.display());
                // With fs-verity, this is the kernel's error for changed content.
                let is_damage =
                    self.inner.has_verity && error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
                if is_damage { self.set_aside(item, reason) } else { Ok(Verified::Unreadable { reason }) }
            }
        }
    }

    /// Quarantines an item.
    ///
    /// # Errors
    /// `Io`.
    pub fn set_aside(&self, item: &Item, reason: String) -> Result<Verified, Error> {
        let (kind, path) = match item {
            Item::Blob(digest) => ("blob", self.inner.layout.blob(digest)),
            Item::Layer(name) => ("layer", self.inner.layout.layers().join(name.as_str())),
        };
        self.inner.stamps.forget(item);
        let place = match self.inner.quarantine.take(kind, &path) {
            Ok(place) => place,
            Err(_) if !path.exists() => return Ok(Verified::Absent),
            Err(error) => return Err(error),
        };
        tracing::error!(path = %path.display(), reason, place = %place.display(), "damaged content was set aside");
        self.inner.damage.send_modify(|count| *count += 1);
        Ok(Verified::SetAside { reason, place })
    }

    /// Logs an unreadable document once per process.
    pub(crate) fn log_once(&self, root: &Digest, error: &Error) {
        let mut logged = self.inner.logged.lock();
        if logged.len() < LOGGED_MAX && logged.insert(root.clone()) {
            tracing::error!(%root, error = error.report(), "cannot read the references of a pinned document");
        }
    }

    fn states(&self, item: &Item) -> Result<Vec<Option<FileState>>, Error> {
        let files = check::files(&self.inner.layout, item);
        FileState::of_all(&files).map_err(|e| Error::io("look at", &files[0], e))
    }

    /// Enables fs-verity for the files of an item.
    fn seal(&self, item: &Item) {
        let files = check::files(&self.inner.layout, item);
        for path in files.iter().filter(|path| path.exists()) {
            if let Err(error) = enable_verity(path) {
                tracing::debug!(path = %path.display(), %error, "fs-verity could not be switched on");
            }
        }
        if let Ok(states) = FileState::of_all(&files) {
            self.inner.stamps.set(item, states);
        }
    }
}

fn enable_verity(path: &Path) -> io::Result<()> {
    let file = std::fs::File::open(path)?;
    sys::file::enable_verity(file.as_fd())
}

/// Tries it on a temporary file.
fn has_verity(layout: &Layout) -> bool {
    let draft = layout.draft();
    let tried = std::fs::write(&draft, "fs-verity?").and_then(|()| enable_verity(&draft));
    // The next start removes a leftover.
    let _ = std::fs::remove_file(&draft);
    tried.is_ok()
}
