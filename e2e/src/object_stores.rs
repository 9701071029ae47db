//! Object stores for tests, each a process with its own folder: moto, which notifies in the format
//! of S3 and keeps objects in memory only, and SeaweedFS, which persists objects and notifies in
//! its own format.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{tools, wait};

/// Access key of the stores and of the tests' client.
pub const ACCESS_KEY: &str = "AK";
/// Secret key of the stores.
pub const SECRET_KEY: &str = "SK";

/// A running store.
pub struct ObjectStore {
    /// Its address, as `http://127.0.0.1:port`.
    pub endpoint: String,
    kind: Kind,
    child: Child,
    work: TempDir,
}

enum Kind {
    Moto { port: u16 },
    SeaweedFs { through: Vec<String>, host: String, ports: [u16; 10] },
}

impl ObjectStore {
    /// Starts moto.
    pub async fn moto() -> anyhow::Result<Self> {
        let port = tools::free_port()?;
        Self::start(Kind::Moto { port }, tempfile::tempdir()?).await
    }

    /// Starts SeaweedFS, which posts changes to `webhook`, an address and a token.
    pub async fn seaweedfs(webhook: Option<(&str, &str)>) -> anyhow::Result<Self> {
        Self::seaweedfs_at("127.0.0.1", &[], webhook).await
    }

    /// As [`ObjectStore::seaweedfs`] on another address, started through a program such as
    /// `nsenter` with its arguments.
    pub async fn seaweedfs_at(host: &str, through: &[&str], webhook: Option<(&str, &str)>) -> anyhow::Result<Self> {
        let work = tempfile::tempdir()?;
        std::fs::create_dir_all(work.path().join("data"))?;
        let identity = serde_json::json!({"identities": [{
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        std::fs::write(work.path().join("s3.json"), identity.to_string())?;
        if let Some((url, token)) = webhook {
            let settings = format!(
                "[notification.webhook]\nenabled = true\nendpoint = \"{url}\"\nbearer_token = \"{token}\"\n\
                 timeout_seconds = 5\nmax_retries = 10\nbackoff_seconds = 1\n\
                 event_types = [\"create\", \"delete\", \"update\", \"rename\"]\npath_prefixes = [\"/buckets\"]\n"
            );
            std::fs::write(work.path().join("notification.toml"), settings)?;
        }
        let mut ports = [0; 10];
        for port in &mut ports {
            *port = tools::free_port()?;
        }
        let through = through.iter().map(|word| (*word).to_owned()).collect();
        Self::start(Kind::SeaweedFs { through, host: host.to_owned(), ports }, work).await
    }

    async fn start(kind: Kind, work: TempDir) -> anyhow::Result<Self> {
        let child = spawn(&kind, work.path())?;
        let endpoint = match &kind {
            Kind::Moto { port } => format!("http://127.0.0.1:{port}"),
            Kind::SeaweedFs { host, ports, .. } => format!("http://{host}:{}", ports[6]),
        };
        let store = Self { endpoint, kind, child, work };
        store.until_up().await?;
        Ok(store)
    }

    async fn until_up(&self) -> anyhow::Result<()> {
        // Installed once per process; a platform may have done it already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().build()?;
        wait::until("the object store answers", || async { Ok(http.get(&self.endpoint).send().await.ok().map(drop)) })
            .await
    }

    /// Kills the store with SIGKILL, as a power failure would.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Restarts the store with its persisted data.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.kind, self.work.path())?;
        self.until_up().await
    }

    /// Runs the client with arguments such as `put BUCKET KEY…`.
    pub async fn client(&self, words: &[&str]) -> anyhow::Result<()> {
        let script = tools::workspace().join("e2e/clients/object_store.py");
        let mut command = tools::command(&tools::python().display().to_string());
        tools::run_ok(command.arg(script).arg(&self.endpoint).args(words)).await.map(drop)
    }
}

/// Path of a program of the clients' Python environment.
fn program(name: &str) -> PathBuf {
    tools::python().with_file_name(name)
}

fn spawn(kind: &Kind, work: &Path) -> anyhow::Result<Child> {
    let mut command: Command = match kind {
        Kind::Moto { port } => {
            let mut command = tools::command(&program("moto_server").display().to_string());
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        }
        Kind::SeaweedFs { through, host, ports } => {
            let weed = program("weed").display().to_string();
            let words = [through.as_slice(), &[weed]].concat();
            let mut command = tools::command(&words[0]);
            command.args(&words[1..]);
            command.arg(format!("-config_dir={}", work.display())).args(["-logtostderr=true", "server"]);
            command.arg(format!("-dir={}", work.join("data").display()));
            command.arg(format!("-s3.config={}", work.join("s3.json").display()));
            command.args([format!("-ip={host}"), format!("-ip.bind={host}")]);
            command.args(["-filer", "-s3", "-master.telemetry=false"]);
            command.args(["-master.volumeSizeLimitMB=16", "-volume.max=20", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
            let flags = [
                "master.port",
                "master.port.grpc",
                "volume.port",
                "volume.port.grpc",
                "filer.port",
                "filer.port.grpc",
                "s3.port",
                "s3.port.grpc",
                "iam.port",
                "debug.port",
            ];
            command.args(flags.iter().zip(ports).map(|(flag, port)| format!("-{flag}={port}")));
            command
        }
    };
    let log = std::fs::File::options().create(true).append(true).open(work.join("log"))?;
    command.current_dir(work).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
    Ok(command.spawn()?)
}
