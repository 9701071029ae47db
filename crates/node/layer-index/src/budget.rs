//! Remaining disk budget of one image, over all its layers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// Counts down; shared by the threads that index layers of one image.
#[derive(Debug)]
pub struct Budget {
    bytes_max: u64,
    entries_max: u64,
    bytes_left: AtomicU64,
    entries_left: AtomicU64,
}

impl Budget {
    /// Bytes of files, and entries.
    pub fn new(bytes_max: u64, entries_max: u64) -> Self {
        let (bytes_left, entries_left) = (bytes_max.into(), entries_max.into());
        Self { bytes_max, entries_max, bytes_left, entries_left }
    }

    /// Takes from the budget before something is created.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn take(&self, bytes: u64, entries: u64) -> Result<(), Error> {
        if !subtract(&self.bytes_left, bytes) {
            let key = "unpacked_bytes_max";
            return Err(Error::TooLarge { what: "bytes in its files", limit: self.bytes_max, key });
        }
        if !subtract(&self.entries_left, entries) {
            return Err(Error::TooLarge { what: "entries", limit: self.entries_max, key: "entries_max" });
        }
        Ok(())
    }

    /// Returns what was taken for a layer that is not used.
    pub fn give_back(&self, bytes: u64, entries: u64) {
        self.bytes_left.fetch_add(bytes, Ordering::Relaxed);
        self.entries_left.fetch_add(entries, Ordering::Relaxed);
    }
}

fn subtract(left: &AtomicU64, amount: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount)).is_ok()
}
