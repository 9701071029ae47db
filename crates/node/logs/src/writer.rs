//! The task that writes: takes batches from the queue, passes them to the store, and starts
//! maintenance of closed segments.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use crate::queue::Receiver;
use crate::record::Record;
use crate::store::Store;

/// Size of a batch of records; also the excess of a segment over its maximum size.
const BATCH_BYTES: usize = 1 << 20;
/// Interval of checking age limits when nothing is written.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);

/// Commands of the handle.
pub(crate) enum Command {
    /// Write what is queued now.
    Flush(oneshot::Sender<()>),
    /// Write what is queued now, sync it, and end.
    Stop(oneshot::Sender<()>),
}

/// The task.
pub(crate) struct Writer {
    queue: Receiver,
    commands: mpsc::Receiver<Command>,
    store: Arc<Mutex<Store>>,
    flush: Duration,
    maintain_every: Interval,
    maintenance: Option<JoinHandle<()>>,
}

/// Reason for a wake-up of the writer.
enum Wake {
    Due,
    Maintain,
    Command(Command),
    /// All handles were dropped.
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
        let mut maintain_every = interval(MAINTAIN_EVERY);
        maintain_every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { queue, commands, store: Arc::new(Mutex::new(store)), flush, maintain_every, maintenance: None }
    }

    /// Runs until it is stopped or all handles are dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let wake = self.wait().await;
            let mut maintain = self.write_queued().await;
            // Fails only when the caller no longer waits.
            match wake {
                Wake::Due => {}
                Wake::Maintain => maintain = true,
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
            if maintain {
                self.start_maintenance();
            }
        }
    }

    /// Waits for a reason to write. After the first record it waits a little for more: sending to a
    /// queue that is not empty wakes no task, which keeps it cheap for requests.
    async fn wait(&mut self) -> Wake {
        tokio::select! {
            biased;
            command = self.commands.recv() => return command.into(),
            _ = self.maintain_every.tick() => return Wake::Maintain,
            () = self.queue.first() => {}
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
            tracing::warn!(records = lost, "dropped log records: the queue to the disk was full");
        }
        let mut rotated = false;
        let mut records = self.queue.take().into_iter();
        loop {
            let (batch, bytes) = next_batch(&mut records);
            if batch.is_empty() {
                break;
            }
            rotated |= self.with_store(move |store| store.write(&batch)).await.unwrap_or(false);
            self.queue.written(bytes);
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

    /// Compresses and removes segments concurrently with writing, one run at a time.
    fn start_maintenance(&mut self) {
        if self.maintenance.as_ref().is_none_or(JoinHandle::is_finished) {
            let store = self.store.clone();
            self.maintenance = Some(spawn_blocking(move || {
                let maintenance = store.lock().maintenance();
                if let Err(error) = maintenance.run() {
                    tracing::error!(%error, "cannot compress or remove old log segments");
                }
            }));
        }
    }

    async fn end(&mut self) {
        self.with_store(|store| store.sync()).await;
        if let Some(maintenance) = self.maintenance.take() {
            // Its failure was logged where it occurred.
            let _ = maintenance.await;
        }
    }
}

/// The next records, about [`BATCH_BYTES`] of them, and their size in bytes.
fn next_batch(records: &mut impl Iterator<Item = Record>) -> (Vec<Record>, usize) {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH_BYTES
        && let Some(record) = records.next()
    {
        bytes += record.cost();
        batch.push(record);
    }
    (batch, bytes)
}
