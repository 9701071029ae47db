//! Freeze and stop state of an instance: a freeze, a thaw and a stop of it exclude each other.
//!
//!  `loom_tests.rs` compiles this file again and tries all interleavings of its steps.

use std::io;

use super::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

/// Whether an instance's process is frozen or told to end; the caller owns the process itself.
pub(crate) struct Freezer {
    /// Held while the process is frozen or thawed.
    frozen: Mutex<bool>,
    /// Number of freezes so far.
    suspensions: AtomicU64,
    /// Whether it was told to end, and its room counts as coming free.
    ends: AtomicBool,
}

impl Freezer {
    pub fn new(frozen: Mutex<bool>) -> Self {
        Self { frozen, suspensions: AtomicU64::new(0), ends: AtomicBool::new(false) }
    }

    /// Freezes the process if it is still idle: a lease that came first keeps it running, and one
    /// that comes now waits for the lock and thaws it.
    pub fn freeze(&self, still_idle: impl FnOnce() -> bool, freeze: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut frozen = self.frozen.lock();
        if *frozen || self.ends() || !still_idle() {
            return Ok(());
        }
        freeze()?;
        *frozen = true;
        self.suspensions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Thaws the process if it is frozen. Called with a lease, so that no freeze comes after.
    pub fn thaw(&self, thaw: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut frozen = self.frozen.lock();
        if std::mem::take(&mut *frozen) { thaw() } else { Ok(()) }
    }

    /// Number of freezes so far; stable while the caller has a lease, during which no freeze
    /// happens.
    pub fn suspensions(&self) -> u64 {
        self.suspensions.load(Ordering::Relaxed)
    }

    /// Marks the process as told to end; true for the first caller.
    pub fn end(&self) -> bool {
        !self.ends.swap(true, Ordering::Relaxed)
    }

    pub fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// Waits for a freeze in progress. To be called after [`Freezer::end`]: no further freeze
    /// follows.
    pub fn settle(&self) {
        *self.frozen.lock() = false;
    }
}
