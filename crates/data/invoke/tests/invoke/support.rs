//! An invoker with real logs over fake instances, and a catalog to change.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use invoke::{
    Asynchronous, Body, BoxError, Config, EventCall, EventResult, Installation, Invoker, Parts, Protocol, ResolvedCall,
    RoutingKey, Source, Target, Unresolved,
};
use logs::Logs;
use parking_lot::Mutex;
use pool::{BoxFuture, ColdStart, ExitStatus, Launch, LaunchError, Launched, Process};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::catalog::Lookup;
use types::{
    Catalog, CatalogFunction, CatalogVersion, ConcurrencySpec, Digest, FunctionId, FunctionKey, FunctionKind,
    FunctionMap, FunctionRecord, ImageSpec, ImageType, InstanceId, Namespace, PinnedImage, Qualifier, RequestId, Route,
    RunStatus, SharedCatalog, Status, VersionKey, VersionName, VersionSpec,
};

use crate::server::Server;

pub const PEAK_BYTES: u64 = 31_178_752;

/// A launcher whose instances are servers in this process.
pub struct FakeLaunch {
    logs: Logs,
    pub servers: Mutex<Vec<Arc<Server>>>,
    /// The failure of the following starts.
    pub failing: Mutex<Option<(RunStatus, &'static str)>>,
    /// Only versions of this generation can be started, when set.
    pub startable_generation: Mutex<Option<u64>>,
}

struct FakeProcess(Arc<Server>);

impl Process for FakeProcess {
    fn connect(&self) -> BoxFuture<'_, io::Result<TcpStream>> {
        let lost = &self.0.attempts_lost;
        if lost.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Box::pin(std::future::pending());
        }
        Box::pin(TcpStream::connect(("127.0.0.1", self.0.port)))
    }

    fn ended(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(async {
            let fate = &self.0.fate;
            fate.over.cancelled().await;
            let code = *fate.code.lock();
            ExitStatus { code, signal: code.is_none().then_some(9), out_of_memory: *fate.out_of_memory.lock() }
        })
    }

    fn kill(&self) {
        if !self.0.fate.lingers.load(Ordering::SeqCst) {
            self.0.fate.over.cancel();
        }
    }

    fn stop(&self, _: Duration) {
        self.0.fate.stopped.cancel();
        if !self.0.fate.catches_stop.load(Ordering::SeqCst) {
            self.kill();
        }
    }

    fn freeze(&self) -> io::Result<()> {
        self.0.freezes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn out_of_memory(&self) -> bool {
        *self.0.fate.out_of_memory.lock()
    }

    fn memory_peak_bytes(&self) -> u64 {
        PEAK_BYTES
    }
}

impl Launch for FakeLaunch {
    fn launch(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async move {
            let cold_start = ColdStart {
                pull: Duration::from_millis(70),
                runtime: Duration::from_millis(8),
                function: Duration::from_millis(158),
            };
            let gone = self.startable_generation.lock().is_some_and(|only| only != version.key.generation);
            let failing =
                if gone { Some((RunStatus::PullImageFailed, "the image is gone")) } else { *self.failing.lock() };
            if let Some((status, message)) = failing {
                let (message, detail) = (message.to_owned(), ". Its last output:\nsecret".to_owned());
                return Err(LaunchError { status, message, detail, cold_start, peak_bytes: 1 << 20 });
            }
            let stdio = self.logs.attach(&id, &version.function, version.key.version).expect("pipes");
            self.logs.assign(&id, Some(&first_request));
            let server = Server::start(stdio.stdout).await;
            server.print("warming up\n");
            self.servers.lock().push(Arc::clone(&server));
            Ok(Launched { process: Arc::new(FakeProcess(server)), cold_start })
        })
    }
}

/// A version of a function of the test.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    pub kind: FunctionKind,
    pub concurrency: u32,
    pub generation: u64,
}

pub const EVENT: Function = Function { name: "event", kind: FunctionKind::Event, concurrency: 1, generation: 1 };
pub const WEB: Function = Function { name: "web", kind: FunctionKind::Http, concurrency: 1, generation: 1 };
pub const WIDE: Function = Function { name: "wide", kind: FunctionKind::Http, concurrency: 10, generation: 1 };

fn version(function: Function) -> Arc<CatalogVersion> {
    let id: FunctionId = format!("lam-{:0>8}", function.name).parse().expect("valid");
    let record = FunctionRecord {
        id: id.clone(),
        key: target(function).function,
        kind: function.kind,
        protocol: None,
        async_run: false,
        trace: false,
        tags: vec![],
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
    let max_concurrency = function.concurrency;
    let spec = VersionSpec {
        image,
        memory_mb: 128,
        timeout_s: 3,
        init_timeout_s: 90,
        description: String::new(),
        environment: vec![],
        concurrency: Some(ConcurrencySpec { max_concurrency, session: None, as_given: serde_json::Value::Null }),
        carried: serde_json::Map::new(),
        extras: types::Extras::default(),
    };
    Arc::new(CatalogVersion {
        key: VersionKey { function_id: id, version: VersionName::Latest, generation: function.generation },
        function: Arc::new(record),
        spec,
        image: PinnedImage { digest: Digest::from_sha256(&[0; 32]), size_bytes: 0 },
    })
}

pub fn target(function: Function) -> Target {
    let name = function.name.parse().expect("a valid function name");
    Target { function: FunctionKey { namespace: Namespace::default_namespace(), name }, qualifier: Qualifier::LATEST }
}

/// An invoker with its catalog and launcher.
pub struct Bench {
    pub invoker: Invoker,
    pub launch: Arc<FakeLaunch>,
    pub logs: Logs,
    catalog: SharedCatalog,
    changes: watch::Sender<u64>,
    _dir: TempDir,
}

impl Bench {
    pub async fn new(config: Config, functions: &[Function]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let logs = Logs::open(dir.path(), logs::Config::default()).await.expect("logs");
        let launch = Arc::new(FakeLaunch {
            logs: logs.clone(),
            servers: Mutex::default(),
            failing: Mutex::default(),
            startable_generation: Mutex::default(),
        });
        let catalog: SharedCatalog = Arc::new(ArcSwap::from_pointee(Catalog::default()));
        let (changes, changed) = watch::channel(0);
        let parts = Parts {
            catalog: Arc::clone(&catalog),
            changes: changed,
            launch: launch.clone(),
            logs: logs.clone(),
            platform: Installation { region: "local".to_owned(), app_id: "100".to_owned(), uin: "200".to_owned() },
            results_dir: dir.path().join("results"),
        };
        let invoker = Invoker::new(parts, config, pool::Config::default(), &CancellationToken::new());
        let invoker = invoker.expect("the folder of results opens");
        let bench = Self { invoker, launch, logs, catalog, changes, _dir: dir };
        bench.serve(functions);
        bench
    }

    /// Makes the catalog serve these functions and no others.
    pub fn serve(&self, functions: &[Function]) {
        self.serve_with(functions, None);
    }

    /// The same, each with this reserved quota.
    pub fn serve_with(&self, functions: &[Function], reserved_mb: Option<u64>) {
        let mut served = FunctionMap::default();
        for function in functions {
            let version = version(*function);
            let entry = CatalogFunction {
                record: Arc::clone(&version.function),
                status: Status::Active,
                versions: [(version.key.version, Arc::clone(&version))].into(),
                aliases: [(Arc::from(Qualifier::DEFAULT_ALIAS), Route::to(VersionName::Latest))].into(),
                reserved_mb,
                provisioned: [].into(),
                event_invoke: Default::default(),
                triggers: Vec::new(),
            };
            served.insert(version.function.key.clone(), Arc::new(entry));
        }
        let revision = self.catalog.load().revision + 1;
        self.catalog.store(Arc::new(Catalog { revision, functions: served, ..Catalog::default() }));
        self.changes.send_replace(revision);
    }

    /// Makes the catalog serve this function alone, with these published versions, and `$DEFAULT`
    /// by this route.
    pub fn serve_versions(&self, function: Function, numbers: &[u32], route: Route) {
        let numbered = |number: &u32| {
            let CatalogVersion { key, function, spec, image } =
                Arc::into_inner(version(function)).expect("nobody else has it");
            let name = VersionName::Number(*number);
            (name, Arc::new(CatalogVersion { key: VersionKey { version: name, ..key }, function, spec, image }))
        };
        let entry = CatalogFunction {
            record: Arc::clone(&version(function).function),
            status: Status::Active,
            versions: numbers.iter().map(numbered).collect(),
            aliases: [(Arc::from(Qualifier::DEFAULT_ALIAS), route)].into(),
            reserved_mb: None,
            provisioned: [].into(),
            event_invoke: Default::default(),
            triggers: Vec::new(),
        };
        let revision = self.catalog.load().revision + 1;
        let functions = [(entry.record.key.clone(), Arc::new(entry))].into_iter().collect();
        self.catalog.store(Arc::new(Catalog { revision, functions, ..Catalog::default() }));
        self.changes.send_replace(revision);
    }

    pub fn server(&self, n: usize) -> Arc<Server> {
        Arc::clone(&self.launch.servers.lock()[n])
    }

    pub fn started(&self) -> usize {
        self.launch.servers.lock().len()
    }

    pub fn alive(&self) -> usize {
        self.launch.servers.lock().iter().filter(|server| !server.fate.over.is_cancelled()).count()
    }

    pub fn connections(&self) -> usize {
        self.launch.servers.lock().iter().map(|server| server.connections.load(Ordering::SeqCst)).sum()
    }

    /// Serves a web request as the gateway does.
    pub async fn web<B>(&self, target: Target, id: RequestId, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let catalog = self.catalog.load();
        let Some(function) = catalog.functions.get(&target.function) else {
            let cause = Lookup::NoFunction(target.function);
            return Unresolved { cause, protocol: Protocol::Http1 }.into_response(&id);
        };
        match ResolvedCall::of_request(function, target.qualifier, &id, request.headers()) {
            Ok(call) => self.invoker.web(call, id, request).await,
            Err(unresolved) => unresolved.into_response(&id),
        }
    }

    /// Runs an event as the API does.
    pub async fn call(&self, target: Target, event: EventCall) -> Result<EventResult, Lookup> {
        let call = self.invoker.resolve(&target, &event.request_id, &RoutingKey::default())?;
        Ok(self.invoker.event(call, event).await)
    }

    /// Runs an asynchronous event.
    pub async fn asynchronous(&self, payload: &'static str, retry_num: u32) -> EventResult {
        let asynchronous = Some(Asynchronous { retry_num, ..Asynchronous::default() });
        let (request_id, payload) = (RequestId::random(), payload.into());
        let call = EventCall { request_id, payload, source: Source::Api, asynchronous };
        self.call(target(EVENT), call).await.expect("an event function is there")
    }

    pub async fn event(&self, payload: impl Into<Bytes>) -> EventResult {
        self.event_from(Source::Api, payload).await
    }

    pub async fn event_from(&self, source: Source, payload: impl Into<Bytes>) -> EventResult {
        let call = EventCall { request_id: RequestId::random(), payload: payload.into(), source, asynchronous: None };
        self.call(target(EVENT), call).await.expect("an event function is there")
    }

    /// Sends a request whose caller disconnects before the response.
    pub async fn abandon(&self, function: Function, path: &str) -> RequestId {
        let (id, before) = (RequestId::random(), self.requests());
        tokio::select! {
            _ = self.get_as(id.clone(), function, path) => panic!("{path} was answered"),
            () = until("the request has arrived", || self.requests() > before) => {}
        }
        id
    }

    fn requests(&self) -> usize {
        self.launch.servers.lock().iter().map(|server| server.requests.load(Ordering::SeqCst)).sum()
    }

    pub async fn get(&self, function: Function, path: &str) -> Response<Body> {
        self.get_as(RequestId::random(), function, path).await
    }

    pub async fn get_as(&self, id: RequestId, function: Function, path: &str) -> Response<Body> {
        let request = Request::get(path).header("host", "web.default.fn.localhost").body(Empty::<Bytes>::new());
        self.web(target(function), id, request.expect("a request")).await
    }

    /// The log of a request once it has ended.
    pub async fn log(&self, id: &RequestId) -> String {
        for _ in 0..2000 {
            let log = self.logs.tail(id, 4096);
            if log.contains("Report RequestId:") && log.trim_end().ends_with("MB") && log.contains("END ") {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("request {id} never ended: {}", self.logs.tail(id, 4096));
    }
}

pub async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

pub async fn json(response: Response<Body>) -> serde_json::Value {
    serde_json::from_str(&text(response).await).expect("JSON")
}

/// Waits until `condition` holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never came true: {what}");
}
