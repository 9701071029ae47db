//! Names of the platform's registry in image references. A reference has the registry's address at
//! the time of the push, which may differ from the current one in port or host name.
//!
//! ```text
//! <data dir>/registry/names    one `host:port` a line, the latest last
//! ```

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::middleware::{self, Next};
use cli::address::is_loopback;
use parking_lot::RwLock;
use types::listening::callable;

const FILE_NAME: &str = "names";
/// Most stored names; the oldest are dropped first.
const NAMES_MAX: usize = 64;
/// Longest name: a host (RFC 1035, section 2.3.4) with a port.
const NAME_BYTES_MAX: usize = 253 + ":65535".len();

/// Current and former names; clones share state.
#[derive(Clone)]
pub struct OwnNames {
    current: SocketAddr,
    earlier: Arc<RwLock<Vec<String>>>,
    file: PathBuf,
}

impl OwnNames {
    /// Reads the stored names and adds the current one. `last_endpoint` is the URL of the control
    /// address at the last start.
    pub fn open(folder: &Path, current: SocketAddr, last_endpoint: Option<&str>) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join(FILE_NAME);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let earlier = text.lines().map(str::to_owned).collect();
        let names = Self { current, earlier: Arc::new(RwLock::new(earlier)), file };
        let last = last_endpoint.and_then(|url| url.split_once("://")).map(|(_, host)| host.to_owned());
        for name in last.into_iter().chain([callable(current).to_string()]) {
            names.learn(&name);
        }
        Ok(names)
    }

    /// The current address of the registry, for clients on this machine.
    pub fn current(&self) -> String {
        callable(self.current).to_string()
    }

    /// Whether this name reaches the registry now, from this machine.
    pub fn is_current(&self, registry: &str) -> bool {
        let port = registry.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        registry == self.current()
            || registry == self.current.to_string()
            || (is_loopback(registry) && port == Some(self.current.port()))
    }

    /// Whether images with this registry name are in the platform's registry.
    pub fn is_own(&self, registry: &str) -> bool {
        self.is_current(registry) || self.earlier.read().iter().any(|name| name == registry)
    }

    /// Whether clients may use this name now, so that pulls by it get a token.
    pub fn is_called(&self, registry: &str) -> bool {
        let port = registry.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        self.is_current(registry) || (port == Some(self.current.port()) && self.is_own(registry))
    }

    /// Adds a name. If the file cannot be written, the name is lost at the end of the process.
    fn learn(&self, name: &str) {
        if name.len() > NAME_BYTES_MAX || self.earlier.read().iter().any(|known| known == name) {
            return;
        }
        let mut earlier = self.earlier.write();
        earlier.push(name.to_owned());
        let surplus = earlier.len().saturating_sub(NAMES_MAX);
        earlier.drain(..surplus);
        if let Err(error) = write(&self.file, &earlier) {
            tracing::warn!(%error, name, "cannot store a name of the platform's registry");
        }
    }

    /// Adds the registry names of successful pushes, which appear in the images' references.
    pub fn learn_from(self, registry: Router) -> Router {
        registry.layer(middleware::from_fn(move |request: Request, next: Next| {
            let names = self.clone();
            async move {
                let is_manifest = request.method() == Method::PUT;
                let host = is_manifest.then(|| host_of(&request)).flatten();
                let response = next.run(request).await;
                // A successful push is authenticated with the key pair.
                if let Some(host) = host.filter(|host| response.status().is_success() && !names.is_own(host.as_str())) {
                    tokio::task::spawn_blocking(move || names.learn(&host)).await.ok();
                }
                response
            }
        }))
    }
}

/// Host and port of a request, from `Host` or (HTTP/2) from the target.
fn host_of(request: &Request) -> Option<String> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| request.uri().authority().map(|authority| authority.as_str())).map(str::to_owned)
}

fn write(file: &Path, names: &[String]) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    let mut to = fs::File::create(&beside)?;
    to.write_all(names.iter().map(|name| format!("{name}\n")).collect::<String>().as_bytes())?;
    to.sync_all()?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path, current: &str, last: Option<&str>) -> OwnNames {
        OwnNames::open(folder, current.parse().expect("an address"), last).expect("opened")
    }

    #[test]
    fn earlier_addresses_remain_names_of_the_registry() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path(), "127.0.0.1:7070", None);
        assert!(first.is_own("127.0.0.1:7070") && first.is_own("localhost:7070") && !first.is_own("127.0.0.1:7071"));
        first.learn("sampan.example:7070");
        let second = open(folder.path(), "0.0.0.0:7071", Some("http://127.0.0.1:7070"));
        assert_eq!(second.current(), "127.0.0.1:7071");
        for name in ["127.0.0.1:7070", "127.0.0.1:7071", "localhost:7071", "sampan.example:7070"] {
            assert!(second.is_own(name), "{name}");
        }
        assert!(!second.is_current("127.0.0.1:7070") && !second.is_own("docker.io"));
        second.learn("10.0.0.5:7071");
        assert!(second.is_called("10.0.0.5:7071") && !second.is_called("127.0.0.1:7070"));
        // Older versions stored the last name only in the credentials file.
        let folder = tempfile::tempdir().expect("a folder");
        assert!(open(folder.path(), "127.0.0.1:7072", Some("http://127.0.0.1:7070")).is_own("127.0.0.1:7070"));
    }

    #[test]
    fn the_number_of_names_is_limited() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = open(folder.path(), "127.0.0.1:7070", None);
        (0..100).for_each(|n| names.learn(&format!("h{n}:7070")));
        names.learn(&"x".repeat(400));
        assert_eq!(names.earlier.read().len(), NAMES_MAX);
        assert!(names.is_own("h99:7070") && !names.is_own("h0:7070"));
    }
}
