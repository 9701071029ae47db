//! What queries read of the log, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What queries have read since the logs were opened.
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
    /// A segment or an index was opened.
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of an index, or of a segment's text, were read.
    pub(crate) fn took(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> Reads {
        Reads { files_opened: self.opened.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}
