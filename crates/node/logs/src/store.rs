//! The disk side of the logs: batches of records into the active segment and the index, rotation,
//! and the maintenance of closed segments. Blocking.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::Config;
use crate::archive::Archive;
use crate::batch::Batch;
use crate::clock;
use crate::index::Index;
use crate::invocations::each_row;
use crate::lines::Line;
use crate::record::Record;
use crate::row::Row;
use crate::segment_index::Indexes;
use crate::segments::{Active, Retention, Segments};

/// Maximum number of segments whose ends are in memory: the active one, and those without an index
/// yet.
const SEGMENTS_IN_MEMORY: usize = 4;

/// Memory of a batch's rows that is kept for the next one.
const ROWS_KEPT_BYTES_MAX: usize = 1024 * 1024;

/// The disk side of the logs, shared by the writer's blocking steps.
pub(crate) struct Store {
    active: Active,
    pub(crate) archive: Arc<Archive>,
    follow: broadcast::Sender<Arc<Line>>,
    retention: Retention,
    /// Number of invocations that ended in the active segment, and its maximum.
    ends_in_active: usize,
    ends_max: usize,
    /// Memory for the rows of the next batch.
    rows: String,
    /// Whether the last write failed; logged once, not at each batch.
    failing: bool,
}

impl Store {
    /// Opens the segments, rebuilds the index from the newest of them, and records running
    /// invocations as interrupted.
    pub(crate) fn open(dir: &Path, config: &Config, follow: broadcast::Sender<Arc<Line>>) -> io::Result<Self> {
        let now_ms = clock::now_ms();
        let segments = Arc::new(Segments::open(dir)?);
        let age_ms_max = i64::try_from(config.segment_age_s_max.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let active = Active::open(segments.clone(), config.segment_bytes_max, age_ms_max, now_ms)?;
        let index = Mutex::new(rebuild(&segments, config));
        let indexes = Indexes::new(segments.clone(), config.index_directories_bytes_max);
        let archive = Arc::new(Archive { segments, indexes, index });
        let retention = Retention {
            age_ms_max: i64::from(config.retention_days) * 24 * 60 * 60 * 1_000,
            disk_bytes_max: config.disk_bytes_max,
        };
        let ends_max = config.index_invocations_max;
        let (ends_in_active, rows) = (0, String::new());
        let mut store = Self { active, archive, follow, retention, ends_in_active, ends_max, rows, failing: false };
        store.end_interrupted(now_ms)?;
        Ok(store)
    }

    fn end_interrupted(&mut self, now_ms: i64) -> io::Result<()> {
        let mut index = self.archive.index.lock();
        let running = index.running();
        if running.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new(&mut index, self.active.position(), now_ms, String::new());
        running.iter().for_each(|entry| batch.interrupted(&entry.request_id));
        self.active.append(batch.rows.as_bytes(), now_ms)
    }

    /// Writes a batch; true when a segment was closed before it.
    pub(crate) fn write(&mut self, records: &[Record]) -> bool {
        let now_ms = clock::now_ms();
        let full = self.ends_in_active >= self.ends_max;
        let rotated = self.active.rotate_if_due(now_ms, full).unwrap_or_else(|error| {
            self.report(&error, 0);
            false
        });
        if rotated {
            self.ends_in_active = 0;
        }
        let memory = std::mem::take(&mut self.rows);
        let (mut rows, ends) = {
            let mut index = self.archive.index.lock();
            let mut batch = Batch::new(&mut index, self.active.position(), now_ms, memory);
            records.iter().for_each(|record| batch.add(record));
            (batch.rows, batch.ends)
        };
        self.ends_in_active += ends;
        // When this fails, the index has positions that later rows will take; readers check the id
        // of each row they find.
        match self.active.append(rows.as_bytes(), now_ms) {
            Ok(()) => self.failing = false,
            Err(error) => self.report(&error, records.len()),
        }
        self.follow(&rows);
        if rows.capacity() <= ROWS_KEPT_BYTES_MAX {
            rows.clear();
            self.rows = rows;
        }
        rotated
    }

    /// Sends the lines of rows to the followers, if there are any.
    fn follow(&self, rows: &str) {
        if self.follow.receiver_count() == 0 {
            return;
        }
        let rows = rows.lines().filter_map(|row| Row::decode(row.as_bytes()));
        for line in rows.flat_map(Row::into_lines) {
            // Fails only when the last follower has just been dropped.
            let _ = self.follow.send(Arc::new(line));
        }
    }

    fn report(&mut self, error: &io::Error, records: usize) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(%error, records, "cannot write logs; dropping records until writes succeed");
        }
    }

    pub(crate) fn sync(&self) {
        if let Err(error) = self.active.sync() {
            tracing::error!(%error, "cannot sync the logs");
        }
    }

    /// The state for a run of maintenance, which is concurrent with writing.
    pub(crate) fn maintenance(&self) -> Maintenance {
        Maintenance { archive: self.archive.clone(), retention: self.retention, active: self.active.position().segment }
    }
}

/// One run of the maintenance of closed segments.
pub(crate) struct Maintenance {
    archive: Arc<Archive>,
    retention: Retention,
    /// The active segment.
    active: u64,
}

impl Maintenance {
    /// Applies retention, builds indexes and compresses.
    pub(crate) fn run(&self) -> io::Result<()> {
        // Frees space first, which the other steps need.
        self.archive.segments.apply_retention(self.retention, self.active, clock::now_ms())?;
        // Before compression, while the rows are in the page cache.
        if self.archive.indexes.build_missing(self.active) {
            self.archive.index.lock().forget_through(self.active.saturating_sub(1));
        }
        self.archive.segments.compress_closed(self.active)
    }
}

/// Reads the newest segment, and those before it up to `index_rebuild_bytes_max`, into an index.
fn rebuild(segments: &Segments, config: &Config) -> Index {
    let mut left = config.index_rebuild_bytes_max;
    let mut newest = BTreeMap::new();
    let mut unindexed_through = 0;
    for (number, segment) in segments.all().into_iter().rev() {
        // The active one has no index of its own.
        if segment.plain_bytes > left && !newest.is_empty() {
            unindexed_through = number;
            break;
        }
        left = left.saturating_sub(segment.plain_bytes);
        newest.insert(number, segment);
    }
    let mut index = Index::new(config.index_invocations_max.saturating_mul(SEGMENTS_IN_MEMORY), unindexed_through);
    for (number, _) in newest {
        let read = each_row(segments, number, |bytes, at| {
            if let Some(row) = Row::decode(bytes) {
                index.replay(&row, at, bytes.len() as u64);
            }
        });
        if let Err(error) = read {
            tracing::error!(%error, "a log segment is unreadable and is left out");
        }
    }
    index
}
