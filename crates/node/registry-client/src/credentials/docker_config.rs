//! Credentials in the format of `docker login` and `podman login`: `auths`, `credHelpers` and
//! `credsStore` of a docker `config.json`, with the helper protocol of docker-credential-helpers.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Credential, CredentialError, CredentialRequest, Credentials, Grant};

/// Docker Hub's name in files that docker writes.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const ANSWER_BYTES_MAX: u64 = 64 << 10;
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads a docker `config.json` for each image, so that a new login takes effect at once.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    path: PathBuf,
    helper_timeout: Duration,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: HashMap<String, Auth>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

fn error(message: impl Into<String>) -> CredentialError {
    CredentialError::new(message)
}

impl DockerConfig {
    /// Uses the file at `path`, which need not exist. A credential helper may take
    /// `helper_timeout`.
    pub fn new(path: impl Into<PathBuf>, helper_timeout: Duration) -> Self {
        Self { path: path.into(), helper_timeout }
    }

    /// Uses docker's file: `$DOCKER_CONFIG/config.json`, else `$HOME/.docker/config.json`.
    pub fn from_environment(helper_timeout: Duration) -> Self {
        let dir = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
        Self::new(dir.unwrap_or_else(|| home().join(".docker")).join("config.json"), helper_timeout)
    }

    async fn find(self, request: CredentialRequest) -> Result<Grant, CredentialError> {
        let CredentialRequest { registry, repository, .. } = request;
        let Some(file) = read(&self.path).await? else { return Ok(Grant::anonymous()) };
        // docker's order: a helper for this registry, the helper for all, the file itself.
        let server = if registry == "docker.io" { HUB_KEY } else { &registry };
        for helper in [file.cred_helpers.get(server).or(file.cred_helpers.get(&registry)), file.creds_store.as_ref()] {
            let Some(helper) = helper else { continue };
            if let Some(credential) = run_helper(helper, server, self.helper_timeout).await? {
                return Ok(Grant::lasting(format!("docker-credential-{helper}"), credential));
            }
        }
        let Some(auth) = choose(&file.auths, &registry, &repository) else { return Ok(Grant::anonymous()) };
        let malformed =
            |reason| error(format!("{} has a malformed entry for {registry}: {reason}", self.path.display()));
        let credential = auth.credential().map_err(malformed)?;
        let lasting = |credential| Grant::lasting(self.path.display().to_string(), credential);
        Ok(credential.map_or_else(Grant::anonymous, lasting))
    }
}

impl Credentials for DockerConfig {
    fn for_registry(&self, request: CredentialRequest) -> BoxFuture<'static, Result<Grant, CredentialError>> {
        Box::pin(self.clone().find(request))
    }
}

async fn read(path: &Path) -> Result<Option<File>, CredentialError> {
    let failed = |cause: String| error(format!("cannot read {}: {cause}", path.display()));
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(failed(e.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).await.map_err(|e| failed(e.to_string()))?;
    // serde's error would not show values, but may show a key; keys are registry names.
    serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(e.to_string()))
}

/// The entry for a repository: podman writes paths as keys, of which the longest matching one is
/// used; docker writes hosts and URLs.
fn choose<'a>(auths: &'a HashMap<String, Auth>, registry: &str, repository: &str) -> Option<&'a Auth> {
    let wanted = format!("{registry}/{repository}");
    let fits = |key: &str| wanted == key || wanted.strip_prefix(key).is_some_and(|rest| rest.starts_with('/'));
    let fitting = auths.iter().map(|(key, auth)| (normal(key), auth)).filter(|(key, _)| fits(key));
    fitting.max_by_key(|(key, _)| key.len()).map(|(_, auth)| auth)
}

fn normal(key: &str) -> &str {
    if key == HUB_KEY {
        return "docker.io";
    }
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or(key.strip_suffix("/v2")).unwrap_or(key);
    if matches!(key, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { key }
}

impl Auth {
    fn credential(&self) -> Result<Option<Credential>, &'static str> {
        let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = text(&self.registrytoken) {
            return Ok(Some(Credential::Bearer(token)));
        }
        if let Some(token) = text(&self.identitytoken) {
            return Ok(Some(Credential::Identity(token)));
        }
        if let (Some(user), Some(password)) = (text(&self.username), text(&self.password)) {
            return Ok(Some(Credential::Basic { user, password }));
        }
        let Some(auth) = text(&self.auth) else { return Ok(None) };
        let decoded =
            base64::engine::general_purpose::STANDARD.decode(auth.trim()).map_err(|_| "auth is not base64")?;
        let decoded = String::from_utf8(decoded).map_err(|_| "auth is not text")?;
        let (user, password) = decoded.split_once(':').ok_or("auth has no colon")?;
        // Old versions of docker padded with NUL bytes.
        let password = password.trim_end_matches('\0');
        Ok(Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() }))
    }
}

/// Runs `docker-credential-<helper> get`.
async fn run_helper(helper: &str, server: &str, timeout: Duration) -> Result<Option<Credential>, CredentialError> {
    if helper.is_empty() || !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(error(format!("credential helper {helper:?} has no valid name")));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |cause: String| error(format!("credential helper {program} failed for {server}: {cause}"));
    let answer = tokio::time::timeout(timeout, run(&program, server));
    let answer = answer.await.map_err(|_| failed(format!("no answer within {} s", timeout.as_secs())))?;
    let (success, output) = answer.map_err(|e| failed(e.to_string()))?;
    if !success {
        let words = String::from_utf8_lossy(&output);
        // The protocol's only indication of a missing credential.
        let none = words.contains("credentials not found");
        return if none { Ok(None) } else { Err(failed(words.trim().chars().take(200).collect())) };
    }
    // The parse error could show a secret.
    let answer: Answer = serde_json::from_slice(&output).map_err(|_| failed("its answer is not valid".into()))?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credential::Identity(answer.secret),
        _ => Credential::Basic { user: answer.username, password: answer.secret },
    }))
}

async fn run(program: &str, server: &str) -> io::Result<(bool, Vec<u8>)> {
    let mut child = tokio::process::Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().expect("the input was piped");
    // A helper that needs no input may have exited already; its output is the result.
    let _ = input.write_all(server.as_bytes()).await;
    drop(input);
    let mut output = Vec::new();
    let stdout = child.stdout.take().expect("the output was piped");
    stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut output).await?;
    Ok((child.wait().await?.success(), output))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        serde_json::from_str(text).expect("valid")
    }

    fn found(text: &str, registry: &str, repository: &str) -> Option<Credential> {
        choose(&file(text).auths, registry, repository).and_then(|a| a.credential().expect("well-formed"))
    }

    fn basic(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Basic { user: user.into(), password: password.into() })
    }

    #[test]
    fn keys_are_hosts_urls_and_paths() {
        // "u:p" and "v:q"
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}, "r.io:5000": {"auth": "dTpw"},
            "r.io:5000/team": {"auth": "djpx"}, "https://other.io/v2/": {"username": "a", "password": "b"}}}"#;
        assert_eq!(found(text, "docker.io", "library/debian"), basic("u", "p"));
        assert_eq!(found(text, "r.io:5000", "app"), basic("u", "p"));
        assert_eq!(found(text, "r.io:5000", "team/app"), basic("v", "q"));
        assert_eq!(found(text, "r.io:5000", "teams"), basic("u", "p"));
        assert_eq!(found(text, "other.io", "x"), basic("a", "b"));
        assert_eq!(found(text, "unknown.io", "x"), None);
    }

    #[test]
    fn tokens_come_before_passwords() {
        let text = r#"{"auths": {"a.io": {"auth": "dTpw", "identitytoken": "i"}, "b.io": {"registrytoken": "r"}}}"#;
        assert_eq!(found(text, "a.io", "x"), Some(Credential::Identity("i".into())));
        assert_eq!(found(text, "b.io", "x"), Some(Credential::Bearer("r".into())));
    }

    #[test]
    fn no_secret_is_shown() {
        let credential = Credential::Basic { user: "u".into(), password: "hidden".into() };
        assert!(!format!("{credential:?}").contains("hidden"));
    }

    fn request() -> CredentialRequest {
        CredentialRequest { registry: "r.io".into(), repository: "x".into(), registry_id: None, renew: false }
    }

    #[tokio::test]
    async fn a_missing_file_means_anonymous_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("config.json");
        let config = DockerConfig::new(&path, Duration::from_secs(1));
        assert_eq!(config.for_registry(request()).await, Ok(Grant::anonymous()));
        std::fs::write(&path, "{").expect("written");
        let error = config.for_registry(request()).await.expect_err("broken");
        assert!(error.message.contains("config.json"), "{error}");
    }

    #[tokio::test]
    async fn a_helper_that_is_missing_is_named() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"credsStore": "there-is-no-such-helper"}"#).expect("written");
        let error = DockerConfig::new(&path, Duration::from_secs(5)).for_registry(request()).await;
        let message = error.expect_err("missing").message;
        assert!(message.contains("docker-credential-there-is-no-such-helper"), "{message}");
    }
}
