//! Debian's docker-registry: open, with passwords, or with TLS by a test certificate authority.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use tokio::process::Child;

use crate::oci::Image;
use crate::{tools, wait};

/// Access control of the registry.
pub enum Access<'a> {
    /// Open.
    Open,
    /// Users with a password.
    Users(&'a [(&'a str, &'a str)]),
    /// Open, with TLS.
    Tls(&'a Certificates),
}

/// The running registry; stopped on drop.
pub struct DebianRegistry {
    /// `host:port`.
    pub address: String,
    _child: Child,
}

impl DebianRegistry {
    /// Starts one on a free port, with its files in a folder below `work`.
    pub async fn start(work: &Path, access: Access<'_>) -> anyhow::Result<Self> {
        let address = format!("127.0.0.1:{}", tools::free_port()?);
        let folder = work.join(format!("registry-{}", address.replace(':', "-")));
        std::fs::create_dir_all(&folder)?;
        let (tls, auth) = match access {
            Access::Open => (String::new(), String::new()),
            Access::Users(users) => (String::new(), htpasswd(&folder, users).await?),
            Access::Tls(Certificates { certificate, key, .. }) => {
                let (certificate, key) = (certificate.display(), key.display());
                (format!("  tls:\n    certificate: {certificate}\n    key: {key}\n"), String::new())
            }
        };
        let config = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\n\
             storage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n{tls}{auth}",
            folder.join("content").display(),
        );
        std::fs::write(folder.join("config.yml"), config)?;
        let mut command = tools::command("docker-registry");
        command.arg("serve").arg(folder.join("config.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("docker-registry is a Debian package")?;
        wait::until("docker-registry listens", || async {
            Ok(tokio::net::TcpStream::connect(&address).await.ok().map(drop))
        })
        .await?;
        Ok(Self { address, _child: child })
    }

    /// Pushes an image with skopeo, as `USER:PASSWORD` where needed, and returns its full
    /// reference.
    pub async fn push(&self, name: &str, image: &Image, creds: Option<&str>) -> anyhow::Result<String> {
        let layout = tempfile::tempdir()?;
        image.write_layout(layout.path(), "v1")?;
        let reference = format!("{}/{name}", self.address);
        let (source, target) = (format!("oci:{}:v1", layout.path().display()), format!("docker://{reference}"));
        let mut command = tools::command("skopeo");
        command.args(["copy", "--dest-tls-verify=false"]);
        if let Some(creds) = creds {
            command.args(["--dest-creds", creds]);
        }
        tools::run_ok(command.args([&source, &target])).await?;
        Ok(reference)
    }
}

async fn htpasswd(folder: &Path, users: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for (user, password) in users {
        let line = tools::run_ok(tools::command("htpasswd").args(["-nbB", user, password])).await?;
        lines.push_str(line.trim());
        lines.push('\n');
    }
    let file = folder.join("users");
    std::fs::write(&file, lines)?;
    Ok(format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display()))
}

/// An untrusted certificate authority, and a server certificate that it issued for this machine.
pub struct Certificates {
    /// The authority's certificate.
    pub authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Makes both in a folder.
    pub async fn make(folder: &Path) -> anyhow::Result<Self> {
        let file = |name: &str| folder.join(name);
        let script = format!(
            "set -e; cd {}; \
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test-authority \
               -addext basicConstraints=critical,CA:TRUE -keyout authority.key -out authority.pem; \
             openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=registry -keyout server.key \
               -out server.csr; \
             printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > server.ext; \
             openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 \
               -extfile server.ext -out server.pem",
            folder.display()
        );
        tools::run_ok(tools::command("sh").args(["-c", &script])).await?;
        Ok(Self { authority: file("authority.pem"), certificate: file("server.pem"), key: file("server.key") })
    }
}
