//! The public handle: accepts events, reads their states, manages dead letters.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use supervisor::essential;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{FunctionId, FunctionKey, RequestId};

use crate::backlog::{Backlog, Deliveries, Reserved};
use crate::config::Config;
use crate::delivering;
use crate::dispatcher::{self, Queue, now_ms};
use crate::error::Error;
use crate::event::{EventStatus, ListQuery, Listed, SourceKey};
use crate::growth::Growth;
use crate::maintenance;
use crate::policy::retry;
use crate::refusals::Refusals;
use crate::run::Run;
use crate::running::Running;
use crate::sending;
use crate::sqlite::recover::{self, Interrupted};
use crate::sqlite::terminate::{self, Found};
use crate::sqlite::{self, deliveries, list, marks, source_keys};
use crate::writer::Writer;

/// Number of runs that the log message of a stop lists.
const ANNOUNCED_MAX: usize = 10;

/// The queue of events; cheap to clone.
#[derive(Clone)]
pub struct Events {
    pub(crate) queue: Arc<Queue>,
    reader: Arc<Mutex<Connection>>,
    pub(crate) folder: PathBuf,
    tasks: TaskTracker,
    pub(crate) refusals: Arc<Refusals>,
    /// Depth of the events that are accepted by this handle.
    pub(crate) depth: u32,
}

impl Events {
    /// Opens the queue at `path`, releases the claims of an earlier process, and starts to run
    /// waiting events. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub async fn open(path: PathBuf, run: Arc<dyn Run>, config: Config) -> Result<Self, Error> {
        let outbound = outbound::Client::new(&outbound::Config::default(), &BTreeMap::new());
        Self::open_with(path, run, outbound.map_err(|error| Error::Write(error.to_string()))?, config).await
    }

    /// Opens the queue with a client for callbacks and destinations; that of [`Events::open`] has
    /// no allowed hosts.
    ///
    /// # Errors
    /// Those of [`Events::open`].
    pub async fn open_with(
        path: PathBuf,
        run: Arc<dyn Run>,
        outbound: outbound::Client,
        config: Config,
    ) -> Result<Self, Error> {
        config.check()?;
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        let opened = spawn_blocking({
            let (path, run, config) = (path.clone(), Arc::clone(&run), config.clone());
            move || -> Result<_, Error> {
                let connection = sqlite::open(&path)?;
                let now = now_ms();
                let interrupted = recover::recover(&connection, now, |connection, event| {
                    sending::send_aborted(connection, event, run.as_ref(), 0, now, &config).map(drop)
                })?;
                let waiting = recover::waiting(&connection)?;
                let sending = deliveries::recover(&connection)?;
                let readers = (sqlite::open_reader(&path)?, Arc::new(Mutex::new(sqlite::open_reader(&path)?)));
                Ok((connection, readers, interrupted, waiting, sending))
            }
        });
        let (connection, (reader, counting), interrupted, waiting, sending) =
            opened.await.map_err(|_| Error::Stopping)??;
        log_interrupted(&interrupted, run.as_ref(), &config);
        let writer = Writer::start(path, connection, &config).map_err(|error| Error::Write(error.to_string()))?;
        let backlog = Backlog::default();
        backlog.load(waiting);
        let owner = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
        let (runs, stop, tasks) = (TaskTracker::new(), CancellationToken::new(), TaskTracker::new());
        let deliveries = Deliveries::of(sending);
        let (running, redrives) = (Running::default(), Mutex::default());
        let cutting = CancellationToken::new();
        let queue = Arc::new(Queue {
            writer,
            backlog,
            config,
            owner,
            run,
            running,
            runs,
            stop,
            redrives,
            cutting,
            deliveries,
            outbound,
            results: Growth::default(),
        });
        tasks.spawn(essential("events dispatcher", dispatcher::run(Arc::clone(&queue))));
        tasks.spawn(essential("events deliveries", delivering::run(Arc::clone(&queue))));
        tasks.spawn(essential("events maintenance", maintenance::run(Arc::clone(&queue), counting)));
        Ok(Self { queue, reader: Arc::new(Mutex::new(reader)), folder, tasks, refusals: Arc::default(), depth: 0 })
    }

    /// The same queue for events that a run causes: `depth` events have led to each of them. Beyond
    /// [`CHAIN_DEPTH_MAX`](crate::CHAIN_DEPTH_MAX) they become dead letters (`chain_too_deep`)
    /// instead of running.
    #[must_use]
    pub fn at_depth(&self, depth: u32) -> Self {
        Self { depth, ..self.clone() }
    }

    /// The client of callbacks and destinations.
    pub fn outbound(&self) -> &outbound::Client {
        &self.queue.outbound
    }

    /// How many of these keys of a function are stored with events that were accepted before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn known(&self, function: &FunctionId, keys: Vec<SourceKey>) -> Result<usize, Error> {
        let (function, now) = (function.clone(), now_ms());
        self.read(move |connection| {
            keys.iter().try_fold(0, |known, key| {
                Ok(known + usize::from(source_keys::find(connection, &function, key, now)?.is_some()))
            })
        })
        .await
    }

    /// Removes the matching keys of a source: events with one of them are accepted again. Scans all
    /// keys, so it is for rare corrections.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub async fn forget_keys(
        &self,
        source: &'static str,
        matches: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<usize, Error> {
        self.queue.writer.write(0, move |connection| source_keys::forget(connection, source, matches)).await
    }

    /// The mark of a polling source.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn mark(&self, source: &str) -> Result<Option<i64>, Error> {
        let source = source.to_owned();
        self.read(move |connection| marks::find(connection, &source)).await
    }

    /// Sets the mark: durable when this returns, as is each event that was accepted before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn set_mark(&self, source: &str, mark_ms: i64) -> Result<(), Error> {
        let source = source.to_owned();
        self.queue.writer.write(0, move |connection| marks::keep(connection, &source, mark_ms)).await
    }

    /// Removes the mark of a source that was deleted.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn forget_mark(&self, source: &str) -> Result<(), Error> {
        let source = source.to_owned();
        self.queue.writer.write(0, move |connection| marks::forget(connection, &source)).await
    }

    /// Why the queue accepts nothing until a restart.
    pub fn halted(&self) -> Option<String> {
        self.queue.writer.halted().map(str::to_owned)
    }

    /// Status of an event; `None` when it was never accepted, or its state is no longer kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn status(&self, id: &RequestId) -> Result<Option<EventStatus>, Error> {
        let id = id.clone();
        self.read(move |connection| list::find(connection, &id)).await
    }

    /// A page of the states of a function's events.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn list(&self, query: ListQuery) -> Result<Listed, Error> {
        let (total, events) = self.read(move |connection| list::page(connection, &query)).await?;
        Ok(Listed { total, events })
    }

    /// Terminates an event, of this function where one is given, and returns once that is durable.
    /// A waiting event is then [`RunState::Aborted`](crate::RunState::Aborted). A running event is
    /// aborted once its instance has ended, whatever the outcome of its run; it never runs again.
    /// The instance is killed, or, where the end is to be `graceful`, stopped by its stop signal
    /// and killed after its grace.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::OfAnotherFunction`], [`Error::Ended`], or when it cannot be
    /// written.
    pub async fn terminate(
        &self,
        id: &RequestId,
        of: Option<(FunctionKey, FunctionId)>,
        graceful: bool,
    ) -> Result<(), Error> {
        let (queue, event, id, now) = (Arc::clone(&self.queue), id.clone(), id.clone(), now_ms());
        let of_queue = Arc::clone(&queue);
        let terminate = move |connection: &Connection| {
            let found = terminate::terminate(connection, &id, of.as_ref(), now)?;
            let Found::Waiting(event) = &found else { return Ok((found, 0)) };
            let Queue { run, deliveries, config, .. } = of_queue.as_ref();
            let sending = sending::send_aborted(connection, event, run.as_ref(), deliveries.rows(), now, config)?;
            Ok((found, sending))
        };
        // Between this commit and the next, so that the end of the run comes after it.
        let settled = move |done: &Result<(Found, u64), Error>| match done {
            Ok((Found::Waiting(of), sending)) => {
                queue.backlog.release(&of.address.function, Reserved::of(of.payload.len() as u64));
                if *sending > 0 {
                    queue.deliveries.added(*sending);
                }
            }
            Ok((Found::Running, _)) => queue.running.cancel(&event, graceful),
            Err(_) => {}
        };
        self.queue.writer.write_then(0, terminate, settled).await?;
        Ok(())
    }

    /// Events that wait or run, of one function or of all.
    pub fn waiting(&self, function: Option<&FunctionKey>) -> u64 {
        self.queue.backlog.rows(function)
    }

    /// The running events, and their functions.
    pub fn under_way(&self) -> Vec<(RequestId, FunctionKey)> {
        self.queue.running.events()
    }

    /// Stops claiming, and waits up to `longest` for the current runs; returns whether all ended.
    pub async fn wait_for_runs(&self, longest: Duration) -> bool {
        if !self.queue.stop.is_cancelled() {
            self.announce_stop(longest);
        }
        self.queue.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.queue.runs.close();
        tokio::time::timeout(longest, self.queue.runs.wait()).await.is_ok()
    }

    /// Stops claiming, and waits before runs are cut off: a run that has not ended after `grace`
    /// counts as cut off when it fails, and runs again after the next start where its function
    /// allows it.
    pub async fn drain(&self, grace: Duration) -> bool {
        let ended = self.wait_for_runs(grace).await;
        if !ended {
            self.queue.cutting.cancel();
        }
        ended
    }

    /// Logs which runs a stop waits for.
    fn announce_stop(&self, grace: Duration) {
        let running = self.queue.running.events();
        if running.is_empty() || grace.is_zero() {
            return;
        }
        let some: Vec<_> = running.iter().take(ANNOUNCED_MAX).map(|(id, _)| id.as_str()).collect();
        let (events, requests, grace_s) = (running.len(), some.join(" "), grace.as_secs());
        tracing::info!(events, requests, grace_s, "waiting for runs of events to end");
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let reader = Arc::clone(&self.reader);
        spawn_blocking(move || work(&reader.lock())).await.map_err(|_| Error::Stopping)?
    }
}

/// Logs the handling of the events that ran when the platform ended.
fn log_interrupted(found: &Interrupted, run: &dyn Run, config: &Config) {
    let (mut run_again, mut dead_letters) = (found.unreadable, 0);
    for (address, recoveries, events) in &found.freed {
        match retry::given_up(run.repeat(address), *recoveries, config.recoveries_max) {
            None => run_again += events,
            Some(_) => dead_letters += events,
        }
    }
    let aborted = found.aborted.len() as u64;
    let events = run_again + dead_letters + aborted;
    if events > 0 {
        let message = "events were running when the platform ended";
        tracing::warn!(events, run_again, dead_letters, aborted, "{message}");
    }
}
