//! What queries read of the log, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Reads as Sum;

/// Counters since the logs were opened.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    opened: AtomicU64,
    bytes: AtomicU64,
}

impl Reads {
    /// A segment or an index was opened.
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of an index, or of a segment's text, were read.
    pub(crate) fn took(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> Sum {
        Sum { files_opened: self.opened.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}
