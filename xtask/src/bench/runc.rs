//! The peer of start benches: `runc run` of a bundle with the static server. The containers share
//! the host's network, which spares runc the network setup.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::http::{Connection, free_port};
use crate::process::{ChildGuard, ends_within, on_path, run as run_loud, status_within};

/// Timeout of the first response.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a container's exit after the first kill.
const END_TIMEOUT: Duration = Duration::from_secs(20);
/// Interval of kills.
const KILL_INTERVAL: Duration = Duration::from_millis(500);
/// Interval of connection attempts.
const CONNECT_INTERVAL: Duration = Duration::from_micros(100);

/// A root file system with the server, and its runc configuration.
pub struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    /// Creates a bundle below `work`.
    pub fn make(work: &Path, hello: &Path) -> anyhow::Result<Self> {
        if !on_path("runc") {
            bail!("runc is the peer of this bench: apt-get install runc");
        }
        let dir = work.join("bundle");
        std::fs::create_dir_all(dir.join("rootfs"))?;
        std::fs::copy(hello, dir.join("rootfs/hello"))?;
        run_loud(Command::new("runc").args(["spec", "--bundle"]).arg(&dir))?;
        Ok(Self { dir })
    }

    /// The root file system.
    pub fn root(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Starts a container, calls it once, and kills it; returns milliseconds from `runc run` to the
    /// response. Containers with different names may run concurrently.
    pub fn start(&self, name: &str) -> anyhow::Result<f64> {
        let name = format!("sampan-bench-{}-{name}", std::process::id());
        let port = free_port()?;
        let bundle = self.with_port(&name, port)?;
        let started = Instant::now();
        let mut command = Command::new("runc");
        command.args(["run", "--bundle"]).arg(&bundle).arg(&name).stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = ChildGuard(command.spawn()?);
        let time = answered(port, started);
        end(&mut child.0, &name)?;
        std::fs::remove_dir_all(&bundle)?;
        time
    }

    /// Creates a bundle for one container, with the same root.
    fn with_port(&self, name: &str, port: u16) -> anyhow::Result<PathBuf> {
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(self.dir.join("config.json"))?)?;
        config["root"] = serde_json::json!({"path": self.root(), "readonly": true});
        config["process"]["terminal"] = false.into();
        config["process"]["args"] = serde_json::json!(["/hello"]);
        config["process"]["env"] = serde_json::json!([format!("PORT={port}")]);
        if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
            namespaces.retain(|n| n["type"] != "network");
        }
        let bundle = self.dir.join(name);
        std::fs::create_dir(&bundle)?;
        std::fs::write(bundle.join("config.json"), serde_json::to_vec(&config)?)?;
        Ok(bundle)
    }
}

/// Kills a container and waits for its `runc run`. A kill fails until runc has registered the
/// container, so it is repeated.
fn end(child: &mut Child, name: &str) -> anyhow::Result<()> {
    let runc = |args: &[&str]| status_within(Command::new("runc").args(args).stderr(Stdio::null()), END_TIMEOUT);
    let deadline = Instant::now() + END_TIMEOUT;
    loop {
        runc(&["kill", name, "KILL"])?;
        if ends_within(child, KILL_INTERVAL)?.is_some() {
            break;
        }
        if Instant::now() > deadline {
            child.kill()?;
            runc(&["delete", "-f", name])?;
            bail!("the container {name} does not end within {} s of its kill", END_TIMEOUT.as_secs());
        }
    }
    runc(&["delete", "-f", name]).map(drop)
}

/// Milliseconds from `started` to the first response on `port`.
pub fn answered(port: u16, started: Instant) -> anyhow::Result<f64> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    loop {
        if Connection::open(address, "bench", "/").and_then(|mut c| c.call()).is_ok() {
            return Ok(started.elapsed().as_secs_f64() * 1e3);
        }
        if started.elapsed() > ANSWER_TIMEOUT {
            bail!("no answer on port {port} within {} s", ANSWER_TIMEOUT.as_secs());
        }
        std::thread::sleep(CONNECT_INTERVAL);
    }
}
