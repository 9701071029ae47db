//! A pool over fake instances, and a catalog to change.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use pool::{BoxFuture, ColdStart, Config, ExitStatus, Launch, LaunchError, Launched, Pool, Process};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::{
    Catalog, CatalogFunction, CatalogVersion, ConcurrencySpec, Digest, FunctionId, FunctionKey, FunctionKind,
    FunctionMap, FunctionRecord, ImageSpec, ImageType, InstanceId, Namespace, PinnedImage, ProvisionedSpec, RequestId,
    RunStatus, SessionSource, SessionSpec, SharedCatalog, Status, VersionKey, VersionName, VersionSpec,
};

/// Behaviour of the following starts.
#[derive(Debug, Clone, Copy)]
pub enum Plan {
    /// Starts take this long and succeed.
    Succeed(Duration),
    /// Starts take this long and fail.
    Fail(Duration),
    /// Starts fail at once for lack of machine resources.
    Crowded,
    /// The launcher panics.
    Panic,
}

/// A launcher of fake instances.
pub struct FakeLaunch {
    plan: Mutex<Plan>,
    pub begun: AtomicUsize,
    pub running_starts: AtomicUsize,
    pub parallel_starts_seen: AtomicUsize,
    pub given_up: AtomicUsize,
    /// Events of job images that instances were started for.
    events: Mutex<Vec<String>>,
    /// How long instances take to stop; zero stops them at once.
    pub lingering: Mutex<Duration>,
    pub processes: Mutex<Vec<Arc<FakeProcess>>>,
}

/// A fake instance: it runs until the test ends it.
pub struct FakeProcess {
    pub over: CancellationToken,
    pub frozen: AtomicBool,
    /// How often it was asked to stop.
    pub asked: AtomicUsize,
    grace: Duration,
}

impl Process for FakeProcess {
    fn connect(&self) -> BoxFuture<'_, io::Result<tokio::net::TcpStream>> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }

    fn ended(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(async {
            self.over.cancelled().await;
            ExitStatus { code: None, signal: Some(9), out_of_memory: false }
        })
    }

    fn kill(&self) {
        self.over.cancel();
    }

    fn stop(&self, longest: Duration) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.frozen.store(false, Ordering::SeqCst);
        let (grace, over) = (self.grace.min(longest), self.over.clone());
        if grace.is_zero() {
            return over.cancel();
        }
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            over.cancel();
        });
    }

    fn stop_grace(&self) -> Duration {
        self.grace
    }

    fn freeze(&self) -> io::Result<()> {
        assert!(!self.frozen.swap(true, Ordering::SeqCst), "frozen twice");
        Ok(())
    }

    fn thaw(&self) -> io::Result<()> {
        assert!(self.frozen.swap(false, Ordering::SeqCst), "thawed twice");
        Ok(())
    }

    fn out_of_memory(&self) -> bool {
        false
    }

    fn memory_peak_bytes(&self) -> u64 {
        0
    }
}

/// Counts a start as cancelled unless it finished.
struct Running<'a>(&'a FakeLaunch, bool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running_starts.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            self.0.given_up.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl FakeLaunch {
    pub fn plan(&self, plan: Plan) {
        *self.plan.lock() = plan;
    }

    /// The events of job images that instances were started for.
    pub fn events(&self) -> Vec<String> {
        self.events.lock().clone()
    }

    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    pub fn frozen(&self) -> usize {
        self.processes.lock().iter().filter(|process| process.frozen.load(Ordering::SeqCst)).count()
    }

    pub fn asked(&self) -> usize {
        self.processes.lock().iter().map(|process| process.asked.load(Ordering::SeqCst)).sum()
    }

    pub fn alive(&self) -> usize {
        self.processes.lock().iter().filter(|process| !process.over.is_cancelled()).count()
    }
}

impl Launch for FakeLaunch {
    fn launch_job(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
        event: Bytes,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.events.lock().push(String::from_utf8_lossy(&event).into_owned());
        self.launch(id, version, request)
    }

    fn launch(
        &self,
        _id: InstanceId,
        _version: Arc<CatalogVersion>,
        _first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async move {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let running = self.running_starts.fetch_add(1, Ordering::SeqCst) + 1;
            self.parallel_starts_seen.fetch_max(running, Ordering::SeqCst);
            let mut guard = Running(self, false);
            let plan = *self.plan.lock();
            let (took, fails) = match plan {
                Plan::Succeed(took) => (took, false),
                Plan::Fail(took) => (took, true),
                Plan::Crowded => (Duration::ZERO, true),
                Plan::Panic => panic!("the launcher has a bug"),
            };
            tokio::time::sleep(took).await;
            guard.1 = true;
            let cold_start = ColdStart { function: took, ..ColdStart::default() };
            if fails {
                return Err(LaunchError {
                    status: if matches!(plan, Plan::Crowded) {
                        RunStatus::InsufficientResources
                    } else {
                        RunStatus::PortBindingFailed
                    },
                    message: "port 9000 not open within 90 s".to_owned(),
                    detail: ". Its last output:\nwaiting".to_owned(),
                    cold_start,
                    peak_bytes: 0,
                });
            }
            let (over, grace) = (CancellationToken::new(), *self.lingering.lock());
            let (frozen, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
            let process = Arc::new(FakeProcess { over, frozen, asked, grace });
            self.processes.lock().push(Arc::clone(&process));
            Ok(Launched { process, cold_start })
        })
    }
}

/// A function of the test.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    pub concurrency: u32,
    pub memory_mb: u32,
    pub tag: Option<(&'static str, &'static str)>,
    /// Sessions per instance, where it has them.
    pub sessions: Option<u32>,
}

pub const EVENT: Function = Function { name: "event", concurrency: 1, memory_mb: 128, tag: None, sessions: None };
pub const WEB: Function = Function { name: "web", concurrency: 10, memory_mb: 128, tag: None, sessions: None };
pub const OTHER: Function = Function { name: "other", concurrency: 1, memory_mb: 128, tag: None, sessions: None };

/// A version of a function at a generation.
pub fn version(function: Function, generation: u64) -> Arc<CatalogVersion> {
    let key = FunctionKey {
        namespace: Namespace::default_namespace(),
        name: function.name.parse().expect("a valid function name"),
    };
    let id: FunctionId = format!("lam-{:0>8}", function.name).parse().expect("a valid function id");
    let kind = if function.concurrency > 1 { FunctionKind::Http } else { FunctionKind::Event };
    let record = FunctionRecord {
        id: id.clone(),
        key,
        kind,
        protocol: None,
        async_run: false,
        trace: false,
        tags: function.tag.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        added_ms: 0,
        modified_ms: 0,
    };
    let image = ImageSpec {
        image_type: ImageType::Personal,
        uri: "localhost/hello:1".to_owned(),
        registry_id: None,
        command: None,
        args: None,
        accelerate: false,
        port: 9000,
    };
    let spec = VersionSpec {
        image,
        memory_mb: function.memory_mb,
        timeout_s: 3,
        init_timeout_s: 90,
        description: String::new(),
        environment: vec![],
        concurrency: Some(ConcurrencySpec {
            max_concurrency: function.concurrency,
            session: function.sessions.map(|per_instance_max| SessionSpec {
                source: SessionSource::Header,
                name: "X-Session".to_owned(),
                per_instance_max,
                ttl_s_max: 600,
                idle_s_max: 30,
                idle_pauses: false,
            }),
            as_given: serde_json::Value::Null,
        }),
        carried: serde_json::Map::new(),
        extras: types::Extras::default(),
    };
    Arc::new(CatalogVersion {
        key: VersionKey { function_id: id, version: VersionName::Latest, generation },
        function: Arc::new(record),
        spec,
        image: PinnedImage { digest: Digest::from_sha256(&[0; 32]), size_bytes: 0 },
    })
}

/// A pool with its catalog and launcher.
pub struct Bench {
    pub pool: Pool<()>,
    pub launch: Arc<FakeLaunch>,
    pub catalog: SharedCatalog,
    changes: watch::Sender<u64>,
}

impl Bench {
    pub fn new(config: Config) -> Self {
        let launch = Arc::new(FakeLaunch {
            plan: Mutex::new(Plan::Succeed(Duration::from_millis(100))),
            begun: AtomicUsize::new(0),
            running_starts: AtomicUsize::new(0),
            parallel_starts_seen: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
            lingering: Mutex::default(),
            processes: Mutex::new(Vec::new()),
            events: Mutex::default(),
        });
        let catalog: SharedCatalog = Arc::new(ArcSwap::from_pointee(Catalog::default()));
        let (changes, changed) = watch::channel(0);
        let shutdown = CancellationToken::new();
        let launcher: Arc<dyn Launch> = launch.clone();
        let pool = Pool::new(launcher, Arc::clone(&catalog), changed, config, &shutdown);
        Self { pool, launch, catalog, changes }
    }

    /// Makes the catalog serve these versions and no others.
    pub fn serve(&self, versions: &[Arc<CatalogVersion>]) {
        self.serve_ready(versions, 0);
    }

    /// The same with this many provisioned instances of each.
    pub fn serve_ready(&self, versions: &[Arc<CatalogVersion>], number: u32) {
        let spec = ProvisionedSpec { number, tracking: None, actions: Vec::new(), set_ms: 0, utc_offset_s: 0 };
        let mut functions = FunctionMap::default();
        for version in versions {
            let function = CatalogFunction {
                record: Arc::clone(&version.function),
                status: Status::Active,
                versions: [(version.key.version, Arc::clone(version))].into(),
                aliases: [].into(),
                reserved_mb: None,
                provisioned: (number > 0).then(|| (version.key.version, Arc::new(spec.clone()))).into_iter().collect(),
                event_invoke: Default::default(),
                triggers: Vec::new(),
            };
            functions.insert(version.function.key.clone(), Arc::new(function));
        }
        let revision = self.catalog.load().revision + 1;
        self.catalog.store(Arc::new(Catalog { revision, functions, ..Catalog::default() }));
        self.changes.send_replace(revision);
    }
}

/// Lets other tasks run until `condition` holds; time stands still meanwhile.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("never came true: {what}");
}
