//! The peers: docker-registry, `podman pull` and `tar xzf`, each in its own folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::{settle_disk, timed};
use crate::bench::http::free_port;
use crate::process::{ChildGuard, output, status_within};

/// Timeout of a registry's start.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// Polling interval.
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// A docker-registry on a free loopback port, with its content in a folder.
pub struct DockerRegistry {
    _child: ChildGuard,
    /// Its port.
    pub port: u16,
}

impl DockerRegistry {
    /// Starts an empty registry.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let (port, config) = (free_port()?, folder.join("config.yml"));
        let text = format!(
            "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: 127.0.0.1:{port} }}\n",
            folder.join("content").display()
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = ChildGuard(command.spawn().context("cannot run docker-registry")?);
        let deadline = Instant::now() + READY_TIMEOUT;
        let url = format!("http://127.0.0.1:{port}/v2/");
        let mut ask = Command::new("curl");
        ask.args(["-fs", "-o", "/dev/null", &url]);
        while !status_within(&mut ask, READY_TIMEOUT)?.success() {
            if Instant::now() > deadline {
                bail!("docker-registry does not answer on {url} after {} s", READY_TIMEOUT.as_secs());
            }
            std::thread::sleep(ASK_INTERVAL);
        }
        Ok(Self { _child: child, port })
    }

    /// Reference of one of its images.
    pub fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/bench/{name}:v1", self.port)
    }
}

/// Seconds of `podman pull` into an empty store with the default driver.
pub fn podman_pull(image: &str, store: &Path) -> anyhow::Result<f64> {
    let store = Store(store.to_owned());
    std::fs::create_dir_all(&store.0)?;
    // podman limits the path of its run root to 50 characters.
    let run = tempfile::tempdir()?;
    let mut command = Command::new("podman");
    command.args(["--storage-driver", "overlay", "--events-backend", "none", "--root"]).arg(&store.0);
    command.arg("--runroot").arg(run.path()).arg("--tmpdir").arg(run.path().join("tmp"));
    settle_disk()?;
    timed(|| output(command.args(["pull", "--quiet", "--tls-verify=false", image])).map(drop))
}

/// podman's storage, unmounted and removed on drop.
struct Store(PathBuf);

impl Drop for Store {
    fn drop(&mut self) {
        // podman leaves a bind mount of the driver's folder onto itself.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below =
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| Path::new(at).starts_with(&self.0));
        for at in below.collect::<Vec<_>>().into_iter().rev() {
            status_within(Command::new("umount").arg(at), READY_TIMEOUT).ok();
        }
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Seconds of `tar xzf` of layers, sequentially, into an empty folder.
pub fn unpack(layers: &[PathBuf], folder: &Path) -> anyhow::Result<f64> {
    std::fs::create_dir_all(folder)?;
    settle_disk()?;
    let time = timed(|| {
        for layer in layers {
            output(Command::new("tar").arg("-xzf").arg(layer).arg("-C").arg(folder))?;
        }
        Ok(())
    })?;
    std::fs::remove_dir_all(folder)?;
    Ok(time)
}
