//! Counts what queries read of the log.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of reads since the logs were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reads {
    /// Segments and indexes opened.
    pub files_opened: u64,
    /// Bytes of indexes, and of segments before compression.
    pub bytes: u64,
}

/// Counters since the logs were opened.
#[derive(Debug, Default)]
pub(crate) struct ReadCounters {
    opened: AtomicU64,
    bytes: AtomicU64,
}

impl ReadCounters {
    /// Counts an opened segment or index.
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes read of an index, or of a segment's text.
    pub(crate) fn took(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> Reads {
        Reads { files_opened: self.opened.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}
