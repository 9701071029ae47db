//! A platform under test, and normalised answers.

mod instance;

use std::sync::Arc;
use std::time::Duration;

use api::{Api, Config, HostEnvironment, Installation};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use signature::{Secrets, tc3};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use types::{Digest, PinnedImage, StatusReason};

pub const SECRET_ID: &str = "AKIDtest";
pub const SECRET_KEY: &str = "test-secret-key";

/// A running API with all components below it.
pub struct Platform {
    /// `host:port` of its listener.
    pub host: String,
    pub store: store::Store,
    pub events: events::Events,
    invoker: invoke::Invoker,
    logs: logs::Logs,
    client: Client<HttpConnector, Full<Bytes>>,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
    _dir: TempDir,
}

/// An unparsed HTTP answer.
pub struct Raw {
    pub status: u16,
    pub content_type: String,
    pub body: Value,
}

impl Platform {
    pub async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub async fn start_with(config: Config) -> Self {
        let dir = TempDir::new().unwrap();
        let shutdown = CancellationToken::new();
        let store = store::Store::open(&dir.path().join("sampan.db"), store::Config::default()).await.unwrap();
        let logs = logs::Logs::open(&dir.path().join("logs"), logs::Config::default()).await.unwrap();
        let parts = invoke::Parts {
            catalog: store.catalog(),
            changes: store.changes(),
            launch: Arc::new(instance::FakeLaunch::new(logs.clone())),
            logs: logs.clone(),
            platform: invoke::Installation { region: "local".into(), app_id: "1250000000".into(), uin: "1".into() },
            results_dir: dir.path().join("results"),
        };
        let pool = pool::Config { memory_mb_max: 12_800, ..pool::Config::default() };
        let invoker = invoke::Invoker::new(parts, invoke::Config::default(), pool, &shutdown).unwrap();
        let queue = dir.path().join("events.db");
        let events = events::Events::open(queue, Arc::new(invoker.clone()), events::Config::default()).await.unwrap();
        let secrets = Secrets { secret_id: SECRET_ID.to_owned(), secret_key: SECRET_KEY.to_owned() };
        let account = Installation { region: "local".into(), app_id: "1250000000".into(), uin: "1".into() };
        let certificates = Arc::new(["main".to_owned()].into());
        let host_environment = HostEnvironment {
            bounds: types::Bounds::default(),
            egress_denied: Arc::default(),
            certificates,
            function_domains: ["fn.localhost".to_owned()].into(),
            gateway: api::GatewayAddress {
                listening: Some("0.0.0.0:7080".parse().unwrap()),
                public_url: Some("https://fn.example.com".to_owned()),
            },
            runtime: "sampan".to_owned(),
            runtimes_allowed: vec!["runc".to_owned()],
            runtime_tag: "sampan:runtime",
            call_depth_max: 1,
            ..HostEnvironment::default()
        };
        let parts = api::Parts {
            store: store.clone(),
            logs: logs.clone(),
            invoker: invoker.clone(),
            events: events.clone(),
            sources: sources::Sources::new(sources::Config::default()),
        };
        let api = Api::new(parts, secrets, account, host_environment, config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let stop = shutdown.clone().cancelled_owned();
        let served = tokio::spawn(async move {
            axum::serve(listener, api.router().layer(axum::middleware::map_request(from_instance)))
                .with_graceful_shutdown(stop)
                .await
                .unwrap();
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { host, store, events, invoker, logs, client, shutdown, served, _dir: dir }
    }

    /// Stops everything and removes the directory.
    pub async fn stop(self) {
        drop(self.client);
        self.shutdown.cancel();
        self.served.await.unwrap();
        self.events.drain(Duration::ZERO).await;
        self.invoker.drain(Duration::ZERO, Duration::ZERO).await;
        self.logs.shutdown().await;
    }

    /// Stops everything after dropping these connections, which would keep the server up.
    pub async fn stop_after<T>(self, connections: Vec<T>) {
        drop(connections);
        self.stop().await;
    }

    /// Sends a request unchanged.
    pub async fn send(&self, request: Request<Bytes>) -> Raw {
        let answer = self.client.request(request.map(Full::new)).await.unwrap();
        let content_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Raw { status, content_type, body: serde_json::from_slice(&body).unwrap() }
    }

    /// A request signed like those of official clients.
    pub fn signed(&self, action: &str, body: &[u8], now_s: i64) -> Request<Bytes> {
        let request = tc3::Request {
            secret_id: SECRET_ID,
            secret_key: SECRET_KEY,
            product: tc3::SCF,
            host: &self.host,
            action,
            region: "local",
            timestamp_s: now_s,
            body,
        };
        let mut built = Request::post(format!("http://{}/", self.host));
        for (name, value) in tc3::sign(&request) {
            built = built.header(name, value);
        }
        built.body(Bytes::copy_from_slice(body)).unwrap()
    }

    /// Calls an action; returns the content of `Response`.
    pub async fn call(&self, action: &str, body: Value) -> Value {
        let answer = self.send(self.signed(action, body.to_string().as_bytes(), now_s())).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
        answer.body["Response"].clone()
    }

    /// Calls an extension that succeeds.
    pub async fn extension(&self, action: &str, body: Value) -> Value {
        let mut request = self.signed(action, body.to_string().as_bytes(), now_s());
        *request.uri_mut() = format!("http://{}{}", self.host, types::wire::EXTENSIONS_PATH).parse().unwrap();
        let response = self.send(request).await.body["Response"].clone();
        assert!(response.get("Error").is_none(), "{action}: {response}");
        response
    }

    /// Calls an extension that fails; returns `Code: Message`.
    pub async fn extension_refused(&self, action: &str, body: Value) -> String {
        let mut request = self.signed(action, body.to_string().as_bytes(), now_s());
        *request.uri_mut() = format!("http://{}{}", self.host, types::wire::EXTENSIONS_PATH).parse().unwrap();
        let error = self.send(request).await.body["Response"]["Error"].clone();
        format!("{}: {}", error["Code"].as_str().expect("an error"), error["Message"].as_str().unwrap())
    }

    /// Calls an action that succeeds.
    pub async fn ok(&self, action: &str, body: Value) -> Value {
        let response = self.call(action, body).await;
        assert!(response.get("Error").is_none(), "{action}: {response}");
        response
    }

    /// Calls an action that fails; returns `Code: Message`.
    pub async fn refused(&self, action: &str, body: Value) -> String {
        let response = self.call(action, body).await;
        let error = &response["Error"];
        format!("{}: {}", error["Code"].as_str().expect("an error"), error["Message"].as_str().unwrap())
    }

    /// Calls an action that fails; returns its error code.
    pub async fn code(&self, action: &str, body: Value) -> String {
        self.refused(action, body).await.split(": ").next().unwrap().to_owned()
    }

    /// Creates a function and completes its preparation.
    pub async fn deploy(&self, mut request: Value) {
        let fields = request.as_object_mut().unwrap();
        fields.entry("Code").or_insert_with(|| code("localhost:5000/ns/app:v1"));
        self.ok("CreateFunction", request).await;
        self.finish_preparations().await;
    }

    /// Completes all pending preparations, in place of `deploy`.
    pub async fn finish_preparations(&self) {
        for key in self.store.pending().await.unwrap() {
            let image = PinnedImage { digest: Digest::from_sha256(&[7; 32]), size_bytes: 4_711 };
            assert!(self.store.mark_active(&key, image).await.unwrap());
        }
    }

    /// Fails all pending preparations.
    pub async fn fail_preparations(&self) {
        for key in self.store.pending().await.unwrap() {
            let error_code = "PullImageFailed".to_owned();
            let reason = StatusReason { error_code, error_message: "no such tag: v1".to_owned() };
            assert!(self.store.mark_failed(&key, reason).await.unwrap());
        }
    }

    /// Completes all pending deletions, in place of `deploy`.
    pub async fn finish_deletions(&self) {
        for id in self.store.deleting().await.unwrap() {
            self.store.finish_delete(&id).await.unwrap();
        }
    }
}

/// `Code` with an image.
pub fn code(uri: &str) -> Value {
    json!({"ImageConfig": {"ImageType": "personal", "ImageUri": uri}})
}

pub fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// An answer with variable values replaced: ids and times.
pub fn redacted(mut answer: Value) -> Value {
    redact(&mut answer);
    answer
}

fn redact(value: &mut Value) {
    const CHANGING: [(&str, &str); 11] = [
        ("RequestId", "[uuid]"),
        ("FunctionRequestId", "[uuid]"),
        ("FunctionId", "[function id]"),
        ("RevisionId", "[revision id]"),
        ("AddTime", "[time]"),
        ("ModTime", "[time]"),
        ("StartTime", "[time]"),
        ("Duration", "[ms]"),
        ("BillDuration", "[ms]"),
        ("Log", "[log]"),
        ("MemUsage", "[memory]"),
    ];
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match CHANGING.iter().find(|(changing, _)| changing == name) {
                    Some((_, instead)) if *value != json!("") => *value = json!(instead),
                    _ => redact(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// Header of requests that the tests send in an instance's name.
pub const FROM_INSTANCE: &str = "x-from-instance";

/// Marks such requests, as the control address marks those of the relay.
async fn from_instance(mut request: axum::extract::Request) -> axum::extract::Request {
    if request.headers().contains_key(FROM_INSTANCE) {
        request.extensions_mut().insert(api::FromInstance(instance::ADDRESS));
    }
    request
}
