//! The public handle. Calls during a request neither wait nor access the disk.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream as Items, StreamExt};
use parking_lot::RwLock;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_util::task::TaskTracker;
use types::{FunctionRecord, InstanceId, RequestId, VersionName};

use crate::archive::Archive;
use crate::lines::{Cursor, Filter, Followed, Line, LinePage};
use crate::live::Request;
use crate::query::Query;
use crate::queue::queue;
use crate::reader::Reader;
use crate::segments::Reads;
use crate::shares::Shares;
use crate::sink::{Origin, Sink};
use crate::store::Store;
use crate::writer::{Command, Writer};
use crate::{Begin, Config, End, Error, Page, Stdio, invocations, scan};

/// Queued commands for the writer; their callers wait for the reply.
const COMMANDS_MAX: usize = 64;

/// The logs of this machine; cheap to clone. All clones share them.
#[derive(Clone)]
pub struct Logs(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    sink: Sink,
    shares: Shares,
    readers: Arc<RwLock<HashMap<InstanceId, Arc<Reader>>>>,
    archive: Arc<Archive>,
    commands: mpsc::Sender<Command>,
    /// The writer holds the sender, so that followers end with it.
    follow: broadcast::WeakSender<Arc<Line>>,
    tasks: TaskTracker,
    runtime: tokio::runtime::Handle,
}

/// The log of a running invocation: the same as the calls of [`Logs`] by request id, without the
/// lookup.
pub struct InvocationLog {
    logs: Logs,
    request: Arc<Request>,
}

impl InvocationLog {
    /// Appends a platform line.
    pub fn platform(&self, line: &str) {
        self.logs.0.sink.platform(&self.request, line);
    }

    /// Records the end.
    pub fn finish(self, end: End) {
        self.logs.0.sink.finish(self.request, end);
    }
}

impl Logs {
    /// Opens the logs in `dir` (created if missing), repairs files after a crash, and starts the
    /// writer.
    pub async fn open(dir: &Path, config: Config) -> Result<Logs, Error> {
        let config = Arc::new(config);
        let (follow, _) = broadcast::channel(config.follow_lines_max.max(1));
        let (path, limits, weak_follow) = (dir.join("segments"), config.clone(), follow.downgrade());
        let opened =
            spawn_blocking(move || Store::open(&path, &limits, follow).map_err(|source| Error::Open { path, source }));
        let store = opened.await.map_err(|_| Error::Stopped)??;
        let (sender, receiver) = queue(config.queue_bytes_max);
        let (commands, commanded) = mpsc::channel(COMMANDS_MAX);
        let inner = Inner {
            sink: Sink::new(sender, config.clone()),
            shares: Shares::default(),
            readers: Arc::default(),
            archive: store.archive.clone(),
            commands,
            follow: weak_follow,
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            config,
        };
        let flush = Duration::from_millis(inner.config.flush_ms);
        inner.tasks.spawn(supervisor::essential("log writer", Writer::new(receiver, commanded, store, flush).run()));
        Ok(Self(Arc::new(inner)))
    }

    /// Creates the pipes of a new instance and starts to read them; the reader ends when all write
    /// ends are closed, or with [`Logs::detach`]. Output belongs to no request until
    /// [`Logs::assign`].
    pub fn attach(
        &self,
        instance: &InstanceId,
        function: &Arc<FunctionRecord>,
        version: VersionName,
    ) -> Result<Stdio, Error> {
        let share = self.0.shares.of(&function.key, self.0.config.function_queue_bytes_max);
        let origin = Origin { instance: instance.clone(), function: function.clone(), version, share };
        let _runtime = self.0.runtime.enter();
        let (reader, stdio) = Reader::new(origin, self.0.sink.clone())
            .map_err(|source| Error::Attach { instance: instance.clone(), source })?;
        let reader = Arc::new(reader);
        self.0.readers.write().insert(instance.clone(), reader.clone());
        let (readers, instance) = (self.0.readers.clone(), instance.clone());
        self.0.tasks.spawn(async move {
            supervisor::restarting("log reader", || reader.run()).await;
            readers.write().remove(&instance);
        });
        Ok(stdio)
    }

    /// Reads the remaining output of an ended instance and closes its pipes, even while other
    /// processes hold the write ends.
    pub fn detach(&self, instance: &InstanceId) {
        if let Some(reader) = self.reader(instance) {
            reader.detach();
        }
    }

    /// Assigns the instance's output to this request from now on (`None`: to no request in
    /// particular). Earlier output belongs to the previous request, if the instance was settled
    /// first.
    pub fn assign(&self, instance: &InstanceId, request: Option<&RequestId>) {
        if let Some(reader) = self.reader(instance) {
            reader.assign(request);
        }
    }

    /// Reads the output that the instance wrote before this call, and ends an incomplete line. It
    /// reads at most the content of the pipes at the time of the call, so that an instance that
    /// keeps writing does not delay it.
    pub fn settle(&self, instance: &InstanceId) {
        if let Some(reader) = self.reader(instance) {
            reader.settle();
        }
    }

    /// As [`Logs::settle`], but an incomplete line continues: the instance is running, and programs
    /// write a line in pieces.
    pub fn catch_up(&self, instance: &InstanceId) {
        if let Some(reader) = self.reader(instance) {
            reader.catch_up();
        }
    }

    /// Appends a platform line about a running instance to the log of the request it serves, or of
    /// no request in particular.
    pub fn about(&self, instance: &InstanceId, line: &str) {
        if let Some(reader) = self.reader(instance) {
            reader.platform(line);
        }
    }

    fn reader(&self, instance: &InstanceId) -> Option<Arc<Reader>> {
        self.0.readers.read().get(instance).cloned()
    }

    /// Records the beginning of an invocation, so that it is visible as running.
    pub fn begin(&self, begin: Begin) -> InvocationLog {
        InvocationLog { request: self.0.sink.begin(begin), logs: self.clone() }
    }

    /// Keeps the [`Logs::tail`] of a start without a caller until [`Logs::forget`]. Its output is
    /// logged under the id, but there is no record of an invocation.
    pub fn watch(&self, start: Begin) {
        self.0.sink.watch(start);
    }

    /// Ends a [`Logs::watch`].
    pub fn forget(&self, request: &RequestId) {
        self.0.sink.live.remove(request);
    }

    /// Appends a platform line to the log of a request that runs or ended recently.
    pub fn platform(&self, request: &RequestId, line: &str) {
        match self.0.sink.live.get(request) {
            Some(request) => self.0.sink.platform(&request, line),
            None => tracing::debug!(%request, "ignored a platform line for an unknown request"),
        }
    }

    /// Records the end of an invocation; only the first end of a request counts.
    pub fn finish(&self, request: &RequestId, end: End) {
        match self.0.sink.live.get(request) {
            Some(request) => self.0.sink.finish(request, end),
            None => tracing::debug!(%request, "ignored the end of an unknown request"),
        }
    }

    /// The last `bytes` bytes (at most `tail_bytes_max`) of the log of a request that runs or ended
    /// recently, cut at a line's beginning; empty for others.
    pub fn tail(&self, request: &RequestId, bytes: usize) -> String {
        self.0.sink.live.get(request).map_or_else(String::new, |request| request.tail(bytes))
    }

    /// A page of invocations with their logs; includes everything recorded before the call. Reads
    /// only what the page needs, however many invocations there are.
    pub async fn invocations(&self, query: Query) -> Result<Page, Error> {
        let inner = self.0.clone();
        let page = self.answer(query.clone(), move |id| inner.sink.live.runs(id)).await?;
        let over: HashSet<RequestId> = page.interrupted().map(|run| run.request_id.clone()).collect();
        if over.is_empty() {
            return Ok(page);
        }
        // An invocation that neither runs nor has an end may have ended during the query: its end
        // is in the queue then, and the second query finds it. Only one without an end in both was
        // interrupted.
        self.answer(query, move |id| !over.contains(id)).await
    }

    /// Answers from records made before the call; `runs`: whether an invocation without an end
    /// still runs.
    async fn answer(&self, query: Query, runs: impl Fn(&RequestId) -> bool + Send + 'static) -> Result<Page, Error> {
        self.flush().await?;
        let inner = self.0.clone();
        let answer = spawn_blocking(move || invocations::answer(&inner.archive, &query, &inner.config, runs));
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Up to `limit` lines: those after the cursor `after`, or from `filter.start_ms` on without
    /// one. Pages are cut in the order written, and each is in the order of times. Includes
    /// everything recorded before the call.
    pub async fn lines(&self, filter: Filter, after: Option<Cursor>, limit: usize) -> Result<LinePage, Error> {
        self.flush().await?;
        let inner = self.0.clone();
        let read = spawn_blocking(move || scan::forward(&inner.archive, &filter, after, limit, &inner.config));
        read.await.map_err(|_| Error::Stopped)?
    }

    /// The lines written last, up to `limit`, in the order of their times; [`Logs::lines`]
    /// continues after them. Reads the last `newest_scan_bytes_max` bytes of the log. Includes
    /// everything recorded before the call.
    pub async fn newest_lines(&self, filter: Filter, limit: usize) -> Result<LinePage, Error> {
        self.flush().await?;
        let inner = self.0.clone();
        let read = spawn_blocking(move || scan::newest(&inner.archive, &filter, limit, &inner.config));
        read.await.map_err(|_| Error::Stopped)?
    }

    /// Counters of what queries have read.
    pub fn reads(&self) -> Reads {
        self.0.archive.segments.reads.sum()
    }

    /// New lines as they are written, from now on, until the logs are shut down or the stream is
    /// dropped.
    pub fn follow(&self, filter: Filter) -> impl Items<Item = Followed> + Send + use<> {
        let ended = || broadcast::channel(1).1;
        let lines = self.0.follow.upgrade().map_or_else(ended, |sender| sender.subscribe());
        BroadcastStream::new(lines).filter_map(move |next| {
            let followed = match next {
                Ok(line) => filter.matches(&line).then(|| Followed::Line(line.as_ref().clone())),
                Err(BroadcastStreamRecvError::Lagged(lines)) => Some(Followed::Skipped(lines)),
            };
            std::future::ready(followed)
        })
    }

    async fn flush(&self) -> Result<(), Error> {
        let (done, flushed) = oneshot::channel();
        self.0.commands.send(Command::Flush(done)).await.map_err(|_| Error::Stopped)?;
        flushed.await.map_err(|_| Error::Stopped)
    }

    /// Reads pending output of instances, writes and syncs everything, and stops. Later records are
    /// lost.
    pub async fn shutdown(&self) {
        let readers: Vec<_> = self.0.readers.read().values().cloned().collect();
        readers.iter().for_each(|reader| reader.detach());
        self.0.archive.segments.stop();
        let (done, stopped) = oneshot::channel();
        if self.0.commands.send(Command::Stop(done)).await.is_ok() {
            // An error means that the writer had stopped already.
            let _ = stopped.await;
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
