//! A registry on a free port with its own directory, and common steps of tests.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::serve::ListenerExt as _;
use image::Images;
use registry::{Config, Credentials, PushEvent, PushListener, Registry};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use types::Digest;

pub const ID: &str = "the-id";
pub const KEY: &str = "the:key";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pushed content: digests, with the media type of a manifest.
pub type PushEvents = Arc<Mutex<Vec<(Digest, Option<String>)>>>;

pub struct Server {
    pub registry: Registry,
    pub images: Images,
    pub host: String,
    pub push_events: PushEvents,
    client: Client,
    dir: Arc<TempDir>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap()), config).await
    }

    async fn on(dir: Arc<TempDir>, config: Config) -> Self {
        // Tests of one process share the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let images = dir.path().join("images");
        // Retains only pinned content, so that a test sees what the collector may remove.
        let keep_nothing = image::Config { grace_s: 0, unpinned_bytes_max: 0, start_keep_s: 0, ..Default::default() };
        let images = Images::open(&images, keep_nothing, Arc::new(registry_client::Anonymous)).await.unwrap();
        let credentials = Credentials { secret_id: ID.into(), secret_key: KEY.into() };
        let content = images.content().clone();
        let push_events = PushEvents::default();
        let (metadata, listener) = (dir.path().join("registry"), recorder(push_events.clone()));
        let registry = Registry::open(content, &metadata, credentials, config, listener).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (limits, router) = (registry.clone(), registry.router());
        let listener = listener.tap_io(move |stream| limits.limit_writes(stream));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { registry, images, host, push_events, client: Client::new(), dir, task }
    }

    /// Another registry on the same directory, as after a restart.
    pub async fn restart(self, config: Config) -> Self {
        let dir = self.dir.clone();
        drop(self);
        Self::on(dir, config).await
    }

    pub fn metadata(&self) -> PathBuf {
        self.dir.path().join("registry")
    }

    /// The store's directory of blobs.
    pub fn blobs(&self) -> PathBuf {
        self.dir.path().join("images/blobs")
    }

    /// A request without credentials.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("http://{}{path}", self.host) };
        self.client.request(method, url)
    }

    /// A request with the key pair.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).basic_auth(ID, Some(KEY))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn head(&self, path: &str) -> Response {
        self.request(Method::HEAD, path).send().await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    /// Opens an upload session; returns its path.
    pub async fn begin_upload(&self, repository: &str) -> String {
        let response = self.request(Method::POST, &format!("/v2/{repository}/blobs/uploads/")).send().await.unwrap();
        assert_eq!(response.status(), 202);
        header(&response, "location").to_owned()
    }

    pub async fn push_blob(&self, repository: &str, content: impl Into<Vec<u8>>) -> Digest {
        let content = content.into();
        let digest = digest_of(&content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let response = self.request(Method::POST, &path).body(content).send().await.unwrap();
        assert_eq!(response.status(), 201);
        digest
    }

    pub async fn put_manifest(&self, repository: &str, reference: &str, kind: &str, manifest: &Value) -> Response {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let put = self.request(Method::PUT, &path).header("content-type", kind);
        put.body(manifest.to_string()).send().await.unwrap()
    }

    /// Pushes an image of one layer; returns the digests of manifest and layer.
    pub async fn push_image(&self, repository: &str, reference: &str, layer: &str) -> (Digest, Digest) {
        let manifest = self.push_parts(repository, layer).await;
        let response = self.put_manifest(repository, reference, OCI_MANIFEST, &manifest).await;
        assert_eq!(response.status(), 201);
        (digest_of(manifest.to_string().as_bytes()), digest_of(layer.as_bytes()))
    }

    /// Pushes the blobs of an image; returns its manifest, which is not pushed.
    pub async fn push_parts(&self, repository: &str, layer: &str) -> Value {
        let config = self.push_blob(repository, "{}").await;
        let layer_digest = self.push_blob(repository, layer).await;
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.as_str(), "size": 2 },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer_digest.as_str(),
                "size": layer.len(),
            }],
        })
    }
}

fn recorder(push_events: PushEvents) -> PushListener {
    Arc::new(move |event| {
        push_events.lock().unwrap().push(match event {
            PushEvent::Blob { digest } => (digest.clone(), None),
            PushEvent::Manifest { digest, media_type } => (digest.clone(), Some(media_type.to_owned())),
        });
    })
}

/// Polls until `ask` returns a value; fails after half a minute.
pub async fn wait_for<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let polled = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), polled).await.expect("the condition came true in time")
}

pub fn digest_of(content: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(content).into())
}

/// A digest without content.
pub fn no_such_digest() -> Digest {
    Digest::from_sha256(&[0; 32])
}

pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("no {name}: {response:?}")).to_str().unwrap()
}

/// Status, code and message of an error response.
pub async fn refusal(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    assert_eq!(header(&response, "content-type"), "application/json");
    let body: Value = response.json().await.unwrap();
    let errors = body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{body}");
    let text = |key: &str| errors[0][key].as_str().unwrap().to_owned();
    (status, text("code"), text("message"))
}

/// Status and code of an error response.
pub async fn refused(response: Response) -> (u16, String) {
    let (status, code, message) = refusal(response).await;
    assert!(!message.is_empty());
    (status, code)
}

pub fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
