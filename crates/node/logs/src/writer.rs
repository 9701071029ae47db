//! The one task that writes: batches of records into the active segment and the index, rotation, compression, retention.
//! Must not be waited for by anyone who serves a request.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use crate::Config;
use crate::clock;
use crate::extents::Position;
use crate::index::Index;
use crate::invocations::each_row;
use crate::lines::Line;
use crate::queue::Receiver;
use crate::record::Record;
use crate::row::{Row, Started};
use crate::segments::{Active, Retention, Segments};

/// Bytes of records that are written at once; also how far a segment may grow over its size.
const BATCH_BYTES: usize = 1 << 20;
/// Segments whose ends may be in memory at once: the active one, and those that wait for their index.
const SEGMENTS_IN_MEMORY: usize = 4;
/// How often age limits are looked at when nothing is written.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// What the handle asks of the writer.
pub(crate) enum Command {
    /// Write what is queued now.
    Flush(oneshot::Sender<()>),
    /// Write what is queued now, sync it, and end.
    Stop(oneshot::Sender<()>),
}

/// The disk side of the logs, shared by the writer's blocking steps.
pub(crate) struct Store {
    active: Active,
    pub(crate) segments: Arc<Segments>,
    pub(crate) index: Arc<Mutex<Index>>,
    follow: broadcast::Sender<Arc<Line>>,
    retention: Retention,
    /// Invocations that ended in the active segment, and how many may.
    ends_in_active: usize,
    ends_max: usize,
    /// Writing failed the last time; said once, not at each batch.
    failing: bool,
}

impl Store {
    /// Opens the segments, rebuilds the index from the newest of them, and records running invocations as interrupted.
    pub(crate) fn open(dir: &Path, config: &Config, follow: broadcast::Sender<Arc<Line>>) -> io::Result<Self> {
        let now_ms = clock::now_ms();
        let segments = Arc::new(Segments::open(dir)?.hold_directories(config.index_directories_bytes_max));
        let age_ms_max = i64::try_from(config.segment_age_s_max.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let active = Active::open(segments.clone(), config.segment_bytes_max, age_ms_max, now_ms)?;
        let index = Arc::new(Mutex::new(rebuild(&segments, config)));
        let retention = Retention {
            age_ms_max: i64::from(config.retention_days) * 24 * 60 * 60 * 1_000,
            disk_bytes_max: config.disk_bytes_max,
        };
        let ends_max = config.index_invocations_max;
        let mut store =
            Self { active, segments, index, follow, retention, ends_in_active: 0, ends_max, failing: false };
        store.end_interrupted(now_ms)?;
        Ok(store)
    }

    fn end_interrupted(&mut self, now_ms: i64) -> io::Result<()> {
        let running = self.index.lock().running();
        let mut bytes = Vec::new();
        for entry in running {
            let at = self.next_position(&bytes);
            let begin = bytes.len();
            let started = Started {
                request_id: &entry.request_id,
                version: entry.version,
                qualifier: &entry.qualifier,
                start_ms: entry.start_ms,
            };
            let row = Row::interrupted(&entry.key, &started, entry.extents.clone(), now_ms);
            row.encode(&mut bytes);
            self.index.lock().replay(&row, at, (bytes.len() - begin) as u64);
        }
        if bytes.is_empty() { Ok(()) } else { self.active.append(&bytes, now_ms) }
    }

    fn next_position(&self, batch: &[u8]) -> Position {
        let Position { segment, offset } = self.active.position();
        Position { segment, offset: offset + batch.len() as u64 }
    }

    /// Writes a batch; true when a segment was closed before it.
    fn write(&mut self, records: &[Record]) -> bool {
        let now_ms = clock::now_ms();
        let full = self.ends_in_active >= self.ends_max;
        let rotated = self.active.rotate_if_due(now_ms, full).unwrap_or_else(|error| {
            self.report(&error, 0);
            false
        });
        if rotated {
            self.ends_in_active = 0;
        }
        self.ends_in_active += records.iter().filter(|record| matches!(record, Record::End(..))).count();
        let mut bytes = Vec::new();
        {
            let mut index = self.index.lock();
            for record in records {
                let (at, begin) = (self.next_position(&bytes), bytes.len());
                let extents = match record {
                    Record::End(request, _) => index.extents(&request.begin.request_id),
                    Record::Begin(..) | Record::Line(_) => Default::default(),
                };
                Row::of(record, extents).encode(&mut bytes);
                index.note(record, at, (bytes.len() - begin) as u64);
            }
        }
        // When this fails, the index names places that later rows take; readers look at the id of each row they find.
        match self.active.append(&bytes, now_ms) {
            Ok(()) => self.failing = false,
            Err(error) => self.report(&error, records.len()),
        }
        if self.follow.receiver_count() > 0 {
            for line in records.iter().flat_map(Record::to_lines) {
                // Fails only when the last follower has just gone.
                let _ = self.follow.send(Arc::new(line));
            }
        }
        rotated
    }

    fn report(&mut self, error: &io::Error, records: usize) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(%error, records, "cannot write logs; they are dropped until it works again");
        }
    }

    fn sync(&self) {
        if let Err(error) = self.active.sync() {
            tracing::error!(%error, "cannot sync the logs");
        }
    }
}

/// Reads the newest segment, and those before it up to `index_rebuild_bytes_max`, into an index.
fn rebuild(segments: &Segments, config: &Config) -> Index {
    let mut left = config.index_rebuild_bytes_max;
    let mut newest = BTreeMap::new();
    let mut unindexed_through = 0;
    for (number, segment) in segments.all().into_iter().rev() {
        // The one that grows has no index of its own.
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

/// The task.
pub(crate) struct Writer {
    queue: Receiver,
    commands: mpsc::Receiver<Command>,
    store: Arc<Mutex<Store>>,
    flush: Duration,
    upkeep_every: Interval,
    upkeep: Option<JoinHandle<()>>,
}

/// Why the writer writes.
enum Wake {
    Due,
    Upkeep,
    Command(Command),
    /// All handles are gone.
    Abandoned,
}

impl From<Option<Command>> for Wake {
    fn from(command: Option<Command>) -> Self {
        command.map_or(Self::Abandoned, Self::Command)
    }
}

impl Writer {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(queue: Receiver, commands: mpsc::Receiver<Command>, store: Store, flush: Duration) -> Self {
        let mut upkeep_every = interval(UPKEEP_EVERY);
        upkeep_every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { queue, commands, store: Arc::new(Mutex::new(store)), flush, upkeep_every, upkeep: None }
    }

    /// Runs until it is told to stop or all handles are gone.
    pub(crate) async fn run(mut self) {
        loop {
            let wake = self.wait().await;
            let mut upkeep = self.write_queued().await;
            // A caller that does not wait for its answer any more is no concern of the writer.
            match wake {
                Wake::Due => {}
                Wake::Upkeep => upkeep = true,
                Wake::Command(Command::Flush(done)) => {
                    let _ = done.send(());
                }
                Wake::Command(Command::Stop(done)) => {
                    self.end().await;
                    let _ = done.send(());
                    return;
                }
                Wake::Abandoned => return self.end().await,
            }
            if upkeep {
                self.start_upkeep();
            }
        }
    }

    /// Waits for a reason to write. After the first record it waits a little for more: while nobody listens at the
    /// queue, sending to it wakes nobody, which keeps it cheap for those who serve requests.
    async fn wait(&mut self) -> Wake {
        tokio::select! {
            biased;
            command = self.commands.recv() => return command.into(),
            _ = self.upkeep_every.tick() => return Wake::Upkeep,
            more = self.queue.first() => if !more { return self.commands.recv().await.into() },
        }
        tokio::select! {
            biased;
            command = self.commands.recv() => command.into(),
            () = self.queue.half_full() => Wake::Due,
            () = sleep(self.flush) => Wake::Due,
        }
    }

    /// Writes what is queued now; true when a segment was closed.
    async fn write_queued(&mut self) -> bool {
        let lost = self.queue.take_lost();
        if lost > 0 {
            tracing::warn!(records = lost, "log records were dropped: the queue to the disk was full");
        }
        let mut rotated = false;
        let mut left = self.queue.waiting_bytes();
        while left > 0 {
            let batch = self.queue.drain(BATCH_BYTES);
            if batch.is_empty() {
                break;
            }
            left = left.saturating_sub(batch.iter().map(Record::cost).sum());
            rotated |= self.with_store(move |store| store.write(&batch)).await.unwrap_or(false);
        }
        rotated
    }

    async fn with_store<T: Send + 'static>(&self, step: impl FnOnce(&mut Store) -> T + Send + 'static) -> Option<T> {
        let store = self.store.clone();
        match spawn_blocking(move || step(&mut store.lock())).await {
            Ok(done) => Some(done),
            Err(error) => {
                tracing::error!(%error, "a step of the log writer failed");
                None
            }
        }
    }

    /// Compresses and removes segments beside the writing, one run at a time.
    fn start_upkeep(&mut self) {
        if self.upkeep.as_ref().is_none_or(JoinHandle::is_finished) {
            let store = self.store.clone();
            self.upkeep = Some(spawn_blocking(move || {
                let (segments, index, retention, active) = {
                    let store = store.lock();
                    let active = store.active.position().segment;
                    (store.segments.clone(), store.index.clone(), store.retention, active)
                };
                if let Err(error) = upkeep(&segments, &index, retention, active) {
                    tracing::error!(%error, "cannot compress or remove old log segments");
                }
            }));
        }
    }

    async fn end(&mut self) {
        self.with_store(|store| store.sync()).await;
        if let Some(upkeep) = self.upkeep.take() {
            // Its failure was reported where it happened.
            let _ = upkeep.await;
        }
    }
}

fn upkeep(segments: &Segments, index: &Mutex<Index>, retention: Retention, active: u64) -> io::Result<()> {
    // Room first: the rest needs some.
    segments.apply_retention(retention, active, clock::now_ms())?;
    // Before compression, while the rows are at hand.
    if segments.index_closed(active) {
        index.lock().forget_through(active.saturating_sub(1));
    }
    segments.compress_closed(active)
}
