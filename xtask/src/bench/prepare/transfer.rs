//! Pushes to and pulls from a registry: one large blob with curl, and an image with skopeo. Both
//! registries sync before they respond.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::peers::DockerRegistry;
use super::{sample, settle_disk, timed};
use crate::process::{output, status_within};
use crate::quickstart::Up;

/// Length of the blob in bytes.
const BLOB_BYTES: u64 = 1 << 30;
/// Timeout of creating the blob.
const MAKE_MAX: Duration = Duration::from_secs(10 * 60);

/// An incompressible blob.
pub struct Blob {
    file: PathBuf,
    digest: String,
    /// Length in bytes.
    pub bytes: u64,
}

impl Blob {
    /// Creates the blob in a folder.
    pub fn make(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("blob");
        let bytes = BLOB_BYTES.to_string();
        let random = std::fs::File::create(&file)?;
        let mut head = Command::new("head");
        let status = status_within(head.args(["-c", &bytes, "/dev/urandom"]).stdout(random), MAKE_MAX)?;
        if !status.success() {
            bail!("cannot make a blob of {BLOB_BYTES} bytes in {}", folder.display());
        }
        Ok(Self { digest: sample::sha256(&file)?, file, bytes: BLOB_BYTES })
    }
}

/// A measured registry.
pub struct Target {
    address: String,
    /// User and password, separated by a colon.
    login: Option<String>,
}

impl Target {
    /// The platform's registry, with its key pair as login.
    pub fn own(up: &Up, data_dir: &Path) -> anyhow::Result<Self> {
        let file = data_dir.join("credentials.toml");
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let pair: toml::Table = text.parse()?;
        let field = |name: &str| pair.get(name).and_then(toml::Value::as_str).context("the key pair is in its file");
        let login = format!("{}:{}", field("secret_id")?, field("secret_key")?);
        Ok(Self { address: up.control.trim_start_matches("http://").to_owned(), login: Some(login) })
    }

    /// docker-registry, without authentication.
    pub fn peer(registry: &DockerRegistry) -> Self {
        Self { address: format!("127.0.0.1:{}", registry.port), login: None }
    }

    /// Seconds to push a blob in one request.
    pub fn put(&self, blob: &Blob) -> anyhow::Result<f64> {
        let begin = format!("http://{}/v2/bench/blob/blobs/uploads/", self.address);
        let location = output(self.curl().args(["-o", "/dev/null", "-w", "%header{location}", "-X", "POST", &begin]))?;
        // The location may be relative.
        let location = match location.strip_prefix('/') {
            Some(path) => format!("http://{}/{path}", self.address),
            None => location,
        };
        let joint = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{joint}digest={}", blob.digest);
        settle_disk()?;
        timed(|| {
            // Without the header curl sends `Expect: 100-continue` and waits for a second.
            let kind = "Content-Type: application/octet-stream";
            output(self.curl().args(["-H", "Expect:", "-H", kind, "-T"]).arg(&blob.file).arg(&url)).map(drop)
        })
    }

    /// Seconds to pull the blob.
    pub fn get(&self, blob: &Blob) -> anyhow::Result<f64> {
        let url = format!("http://{}/v2/bench/blob/blobs/{}", self.address, blob.digest);
        settle_disk()?;
        timed(|| output(self.curl().args(["-o", "/dev/null", &url])).map(drop))
    }

    /// Seconds to push an image of an OCI layout.
    pub fn push_image(&self, layout: &str) -> anyhow::Result<f64> {
        settle_disk()?;
        timed(|| output(&mut push(layout, &self.image(), self.login.as_deref())).map(drop))
    }

    /// Seconds to pull the image into a folder, which is removed.
    pub fn pull_image(&self, folder: &Path) -> anyhow::Result<f64> {
        let mut command = skopeo("src", self.login.as_deref());
        command.arg(format!("docker://{}", self.image())).arg(format!("dir:{}", folder.display()));
        settle_disk()?;
        let time = timed(|| output(&mut command).map(drop))?;
        std::fs::remove_dir_all(folder)?;
        Ok(time)
    }

    fn image(&self) -> String {
        format!("{}/bench/image:v1", self.address)
    }

    fn curl(&self) -> Command {
        let mut command = Command::new("curl");
        command.args(["--fail", "--silent", "--show-error"]);
        if let Some(login) = &self.login {
            command.args(["--user", login]);
        }
        command
    }
}

/// `skopeo copy` of an image of an OCI layout to a registry.
pub fn push(layout: &str, image: &str, login: Option<&str>) -> Command {
    let mut command = skopeo("dest", login);
    command.arg(layout).arg(format!("docker://{image}"));
    command
}

/// `skopeo copy` with a plain-http registry on one side.
fn skopeo(side: &str, login: Option<&str>) -> Command {
    let mut command = Command::new("skopeo");
    command.args(["copy", "--quiet", "--insecure-policy"]).arg(format!("--{side}-tls-verify=false"));
    if let Some(login) = login {
        command.arg(format!("--{side}-creds={login}"));
    }
    command
}
