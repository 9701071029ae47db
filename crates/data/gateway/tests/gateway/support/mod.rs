//! A gateway with real components behind it except the instances: a fake `Launch` whose instances
//! are one HTTP server in this process.

pub mod exact;
pub mod function;
pub mod raw;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use events::EventStatus;
use gateway::{Config, Gateway};
use invoke::Invoker;
use pool::{BoxFuture, ColdStart, ExitStatus, Launch, LaunchError, Launched, Process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::domain::{DomainEndpoint, DomainProtocol, PathRewrite};
use types::{
    Catalog, CatalogFunction, CatalogVersion, CustomDomain, Digest, FunctionId, FunctionKey, FunctionKind,
    FunctionRecord, ImageSpec, ImageType, InstanceId, PinnedImage, Qualifier, RequestId, Route, SharedCatalog, Status,
    Trigger, TriggerId, TriggerOptions, VersionKey, VersionName, VersionSpec,
};

use self::function::FunctionServer;
use self::raw::Raw;

/// Longest wait for the end of a run.
const ENDED_WAIT_MAX: Duration = Duration::from_secs(20);

/// A gateway on a free port with the functions `web`, `open`, `cam`, `event` and `cam-event` in
/// namespace `default`.
pub struct Fixture {
    /// Its address.
    pub address: SocketAddr,
    /// The server of every instance.
    pub server: FunctionServer,
    /// Ends it.
    pub shutdown: CancellationToken,
    gateway: Gateway,
    invoker: Invoker,
    logs: logs::Logs,
    /// The queue of asynchronous calls.
    pub events: events::Events,
    _dir: TempDir,
}

impl Fixture {
    /// Starts one with the defaults.
    pub async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    /// Starts one.
    pub async fn start_with(config: Config) -> Self {
        let server = FunctionServer::start().await;
        let address = server.address;
        Self::start_serving(config, invoke::Config::default(), server, address).await
    }

    /// Starts one whose instances are at an address.
    pub async fn start_over(config: Config, invoke: invoke::Config, instances: SocketAddr) -> Self {
        Self::start_serving(config, invoke, FunctionServer::start().await, instances).await
    }

    /// Starts one with these settings of the queue.
    pub async fn start_queueing(config: Config, queue: events::Config) -> Self {
        let server = FunctionServer::start().await;
        let address = server.address;
        Self::start_all(config, invoke::Config::default(), queue, server, address).await
    }

    async fn start_serving(
        config: Config,
        invoke: invoke::Config,
        server: FunctionServer,
        instances: SocketAddr,
    ) -> Self {
        Self::start_all(config, invoke, events::Config::default(), server, instances).await
    }

    async fn start_all(
        config: Config,
        invoke: invoke::Config,
        queue: events::Config,
        server: FunctionServer,
        instances: SocketAddr,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let logs = logs::Logs::open(dir.path(), logs::Config::default()).await.expect("logs open");
        let (_changed, changes) = watch::channel(0);
        let catalog = catalog();
        let shutdown = CancellationToken::new();
        let parts = invoke::Parts {
            catalog: catalog.clone(),
            changes,
            launch: Arc::new(Here(instances)),
            logs: logs.clone(),
            platform: invoke::Installation { region: "local".into(), app_id: "1".into(), uin: "2".into() },
            results_dir: dir.path().join("results"),
        };
        let invoker = Invoker::new(parts, invoke, pool::Config::default(), &shutdown);
        let invoker = invoker.expect("the folder of results opens");
        let runs = Arc::new(invoker.clone());
        let events = events::Events::open(dir.path().join("events.db"), runs, queue).await.expect("the queue opens");
        let asynchronous =
            Some(gateway::Asynchronous { events: events.clone(), authorize: Arc::new(Secret), hooks: hooks() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let gateway = Gateway::serve(
            gateway::Listeners { plain: listener, tls: None, instances: None },
            invoker.clone(),
            catalog,
            asynchronous,
            config,
            shutdown.clone(),
        )
        .expect("its threads start");
        Self { address, server, shutdown, gateway, invoker, logs, events, _dir: dir }
    }

    /// A connection for raw bytes.
    pub async fn raw(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// Waits until the log of a request has its end and this text.
    pub async fn logged(&self, id: &str, wanted: &str) {
        let id: RequestId = id.parse().expect("a request id");
        let ended = async {
            loop {
                let log = self.logs.tail(&id, 64 * 1024);
                if log.contains("END ") {
                    return log;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let log = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the request ends");
        assert!(log.contains(wanted), "{log}");
    }

    /// The state of an event once a run of it has ended.
    pub async fn ended(&self, id: &RequestId) -> EventStatus {
        let ended = async {
            loop {
                match self.events.status(id).await.expect("states are readable") {
                    Some(status) if status.status.is_some() => return status,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(ENDED_WAIT_MAX, ended).await.expect("the run ends")
    }

    /// Stops everything, the gateway first.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.gateway.join().await;
        self.events.drain(Duration::ZERO).await;
        self.invoker.drain(Duration::ZERO, Duration::ZERO).await;
        self.logs.shutdown().await;
    }
}

fn catalog() -> SharedCatalog {
    let functions = [
        ("web", FunctionKind::Http),
        ("event", FunctionKind::Event),
        ("open", FunctionKind::Http),
        ("cam", FunctionKind::Http),
        ("cam-event", FunctionKind::Event),
        ("job", FunctionKind::Event),
    ]
    .map(|(name, kind)| function(name, kind))
    .into_iter()
    .collect();
    let domains = [domain()].map(|domain| (domain.domain.clone(), Arc::new(domain)));
    Arc::new(ArcSwap::from_pointee(Catalog {
        revision: 1,
        functions,
        domains: Arc::new(domains.into()),
        ..Catalog::default()
    }))
}

/// `shop.example.com`: all paths are routed to `web`, `/api/…` without the prefix; `/event` to
/// `event`, `/cam/…` to `cam`, and `/gone` to a function that does not exist.
fn domain() -> CustomDomain {
    let endpoint = |path: &str, function: &str, rewrites| DomainEndpoint {
        path: path.into(),
        namespace: "default".parse().expect("valid"),
        function: function.parse().expect("valid"),
        qualifier: Qualifier::LATEST,
        rewrites,
    };
    let rewrite = PathRewrite { path: "/api/*".into(), wildcard: true, rewrite: "/$".into() };
    CustomDomain {
        domain: "shop.example.com".into(),
        protocol: DomainProtocol::Http,
        endpoints: vec![
            endpoint("/*", "web", Vec::new()),
            endpoint("/api/*", "web", vec![rewrite]),
            endpoint("/event", "event", Vec::new()),
            endpoint("/gone", "gone", Vec::new()),
            endpoint(
                "/cam/*",
                "cam",
                vec![PathRewrite { path: "/cam/*".into(), wildcard: true, rewrite: "/$".into() }],
            ),
        ],
        certificate: None,
        carried: serde_json::Map::new(),
        tags: Vec::new(),
        added_ms: 0,
        modified_ms: 0,
    }
}

fn function(name: &str, kind: FunctionKind) -> (FunctionKey, Arc<CatalogFunction>) {
    let key = FunctionKey { namespace: "default".parse().expect("valid"), name: name.parse().expect("valid") };
    let record = Arc::new(FunctionRecord {
        id: FunctionId::random(),
        key: key.clone(),
        kind,
        protocol: None,
        async_run: false,
        trace: false,
        tags: Vec::new(),
        added_ms: 0,
        modified_ms: 0,
    });
    let version = CatalogVersion {
        key: VersionKey { function_id: record.id.clone(), version: VersionName::Latest, generation: 1 },
        function: record.clone(),
        spec: spec(if name == "job" { types::limits::JOB_PORT } else { 9000 }),
        image: PinnedImage { digest: Digest::from_sha256(&[7; 32]), size_bytes: 1 },
    };
    let function = CatalogFunction {
        record,
        status: Status::Active,
        versions: BTreeMap::from([(VersionName::Latest, Arc::new(version))]),
        aliases: types::AliasMap::from([("$DEFAULT".into(), Route::to(VersionName::Latest))]),
        reserved_mb: None,
        provisioned: BTreeMap::new(),
        event_invoke: Default::default(),
        triggers: url(name).into_iter().chain(hooks_of(name)).collect(),
    };
    (key, Arc::new(function))
}

/// The URL of a function that has one: `open` is for everyone, `cam` and `cam-event` for holders of
/// keys.
fn url(function: &str) -> Option<Arc<Trigger>> {
    let auth = match function {
        "open" => "NONE",
        "cam" | "cam-event" => "CAM",
        _ => return None,
    };
    let cors = json!({
        "Enable": true, "Origins": ["https://a.example"], "Methods": ["GET", "PUT"], "Headers": ["*"], "MaxAge": 60,
    });
    Some(trigger("http", "url", Qualifier::LATEST, json!({"AuthType": auth, "CorsConfig": cors})))
}

/// The token of callers of triggers.
pub const TOKEN: &str = "a-token-of-some-length";

/// Triggers that receive requests: all functions have them except those with URLs for everyone.
fn hooks_of(function: &str) -> Vec<Arc<Trigger>> {
    let alias = || Qualifier::Alias("$DEFAULT".into());
    let mut all = vec![
        trigger("webhook", "gh", alias(), json!({"Scheme": "github", "Secrets": [TOKEN]})),
        trigger("webhook", "paused", alias(), json!({"Scheme": "bearer", "Secrets": [TOKEN]})),
        trigger("webhook", "twice", alias(), json!({"Scheme": "bearer", "Secrets": [TOKEN]})),
        trigger("webhook", "twice", Qualifier::LATEST, json!({"Scheme": "bearer", "Secrets": [TOKEN]})),
        trigger("cloudevents", "ce", alias(), json!({"Scheme": "none", "EventPattern": {"type": ["paid"]}})),
        trigger("cos", "films", alias(), json!({"filter": {"Suffix": ".mp4"}, "Secrets": [TOKEN]})),
        trigger("cos", "polled", alias(), json!({"Poll": {"Connection": "store"}})),
    ];
    for trigger in &mut all {
        let trigger = Arc::get_mut(trigger).expect("not shared yet");
        trigger.enabled = trigger.name != "paused";
        trigger.options.rate_per_minute = (trigger.name == "films").then_some(3);
    }
    if function == "open" { Vec::new() } else { all }
}

fn trigger(kind: &str, name: &str, qualifier: Qualifier, desc: Value) -> Arc<Trigger> {
    let Value::Object(desc) = desc else { unreachable!("an object") };
    Arc::new(Trigger {
        id: TriggerId::random(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        qualifier,
        desc,
        options: TriggerOptions::default(),
        enabled: true,
        custom_argument: String::new(),
        description: String::new(),
        since_ms: 0,
        added_ms: 0,
        modified_ms: 0,
    })
}

fn spec(port: i32) -> VersionSpec {
    let image = ImageSpec {
        image_type: ImageType::Personal,
        uri: "registry.test/function:v1".into(),
        registry_id: None,
        command: None,
        args: None,
        accelerate: false,
        port,
    };
    VersionSpec {
        image,
        memory_mb: 128,
        timeout_s: 30,
        init_timeout_s: 30,
        description: String::new(),
        environment: Vec::new(),
        concurrency: None,
        carried: serde_json::Map::new(),
        extras: types::Extras::default(),
    }
}

/// Accepts calls whose `Authorization` is `secret`. The body must not be `forged`.
struct Secret;

fn hooks() -> gateway::Hooks {
    let (region, app_id, uin) = ("r".to_owned(), "1250000000".to_owned(), "1".to_owned());
    let confirm_hosts = vec!["sns.example.com".to_owned(), "down.example.com".to_owned()];
    gateway::Hooks {
        confirm: Arc::new(Confirms),
        confirm_hosts,
        sns_unsigned: true,
        installation: types::Installation { region, app_id, uin },
        rate_per_minute_max: 1000,
    }
}

/// Confirms everything except hosts that are down.
struct Confirms;

impl gateway::Confirm for Confirms {
    fn confirm(&self, url: String) -> gateway::BoxFuture<Result<(), String>> {
        let down = url.starts_with("https://down.");
        Box::pin(async move { if down { Err("no answer".to_owned()) } else { Ok(()) } })
    }

    fn certificate(&self, _url: String) -> gateway::BoxFuture<Result<Vec<u8>, String>> {
        let certificate = include_bytes!("../../../src/asynchronous/hooks/sns_certificate.pem");
        Box::pin(async move { Ok(certificate.to_vec()) })
    }
}

impl gateway::Authorize for Secret {
    fn check_head(&self, headers: &http::HeaderMap) -> Result<(), String> {
        let good = headers.get("authorization").is_some_and(|value| value == "secret");
        if good { Ok(()) } else { Err("the request is not signed".to_owned()) }
    }

    fn verify(&self, request: gateway::Signed<'_>) -> Result<(), String> {
        let whole = ["/async/default/", "/fn/default/", "/cam/", "/hooks/default/"]
            .iter()
            .any(|path| request.path.starts_with(path));
        assert!(whole, "the path as it was sent: {}", request.path);
        if request.body == b"forged" { Err("the signature does not match".to_owned()) } else { Ok(()) }
    }
}

/// Starts nothing: every instance is the server at this address.
struct Here(SocketAddr);

impl Launch for Here {
    fn launch(
        &self,
        _id: InstanceId,
        _version: Arc<CatalogVersion>,
        _first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        let process = Arc::new(Instance { server: self.0, killed: CancellationToken::new() });
        Box::pin(async { Ok(Launched { process, cold_start: ColdStart::default() }) })
    }
}

struct Instance {
    server: SocketAddr,
    killed: CancellationToken,
}

impl Process for Instance {
    fn connect(&self) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(self.server))
    }

    fn ended(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(async {
            self.killed.cancelled().await;
            ExitStatus { code: None, signal: Some(9), out_of_memory: false }
        })
    }

    fn kill(&self) {
        self.killed.cancel();
    }

    fn memory_peak_bytes(&self) -> u64 {
        0
    }
}
