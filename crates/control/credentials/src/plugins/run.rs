//! Runs a plugin: request on standard input, response on standard output, bounded in time and size;
//! its process group is killed at the end.

use std::process::Stdio;
use std::time::Duration;

use registry_client::CredentialError;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::protocol::{self, Response};
use super::settings::Provider;

/// Bounds of a run.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub timeout: Duration,
    pub answer_bytes_max: u64,
    pub stderr_bytes_max: u64,
}

/// The process group of a plugin, killed on drop.
struct Group {
    child: Child,
    group: Option<Pid>,
}

impl Drop for Group {
    fn drop(&mut self) {
        // Processes that have exited are already reaped.
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs a plugin for an image.
pub(super) async fn run(provider: &Provider, image: &str, limits: &Limits) -> Result<Response, CredentialError> {
    let name = &provider.name;
    let failed = |cause: String| CredentialError::new(format!("credential plugin {name} failed for {image}: {cause}"));
    let run = tokio::time::timeout(limits.timeout, exchange(provider, image, limits)).await;
    let bytes = run.map_err(|_| failed(format!("no answer within {} s", limits.timeout.as_secs())))?.map_err(failed)?;
    protocol::response(&bytes, &provider.api_version).map_err(failed)
}

async fn exchange(provider: &Provider, image: &str, limits: &Limits) -> Result<Vec<u8>, String> {
    let child = Command::new(&provider.program)
        .args(&provider.args)
        .envs(provider.env.iter().map(|variable| (&variable.name, &variable.value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", provider.program.display()))?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let mut group = Group { child, group };
    let child = &mut group.child;
    let mut input = child.stdin.take().expect("the input was piped");
    let stdout = child.stdout.take().expect("the output was piped");
    let stderr = child.stderr.take().expect("the errors were piped");
    let request = protocol::request(&provider.api_version, image);
    let tell = async move {
        // A plugin that reads no input may have exited already; its response is valid.
        let _ = input.write_all(&request).await;
    };
    let (_, answer, words) =
        tokio::join!(tell, read(stdout, limits.answer_bytes_max), read(stderr, limits.stderr_bytes_max));
    let status = child.wait().await.map_err(|error| error.to_string())?;
    let (answer, too_long) = answer.map_err(|error| format!("its output cannot be read: {error}"))?;
    if !status.success() {
        let words = words.map(|(words, _)| printable(&words)).unwrap_or_default();
        return Err(format!("{status}: {}", if words.is_empty() { "nothing on standard error" } else { &words }));
    }
    if too_long {
        return Err(format!("its answer is longer than plugin_answer_bytes_max of [credentials], {}", answer.len()));
    }
    Ok(answer)
}

/// Reads to the end and keeps up to `bytes_max`; also returns whether there were more.
async fn read(mut from: impl AsyncRead + Unpin, bytes_max: u64) -> std::io::Result<(Vec<u8>, bool)> {
    let mut kept = Vec::new();
    (&mut from).take(bytes_max).read_to_end(&mut kept).await?;
    // Drain the rest: a full pipe would block the plugin, and its exit code is part of the error.
    let more = tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok((kept, more > 0))
}

fn printable(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::super::settings::Variable;
    use super::*;

    const ANSWER: &str = r#"{"kind": "CredentialProviderResponse", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "cacheKeyType": "Image", "auth": {"r.io": {"username": "u", "password": "p"}}}"#;

    fn provider(dir: &Path, script: &str) -> Provider {
        let program = dir.join("plugin");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
        let env = vec![Variable { name: "PLUGIN_USER".into(), value: "from the configuration".into() }];
        Provider {
            name: "plugin".into(),
            program,
            match_images: vec!["r.io".into()],
            default_cache_duration: Duration::ZERO,
            api_version: protocol::API_VERSIONS[0].into(),
            args: vec!["--one".into(), "two words".into()],
            env,
        }
    }

    async fn outcome(script: &str) -> Result<Response, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let limits = Limits { timeout: Duration::from_secs(5), answer_bytes_max: 4096, stderr_bytes_max: 100 };
        run(&provider(dir.path(), script), "r.io/app", &limits).await.map_err(|error| error.message)
    }

    #[tokio::test]
    async fn a_plugin_gets_the_request_its_arguments_and_its_environment() {
        let script = format!(
            r#"grep -q '"image":"r.io/app"' || exit 3
               [ "$1" = --one ] && [ "$2" = "two words" ] && [ "$PLUGIN_USER" = "from the configuration" ] || exit 4
               [ -n "$PATH" ] || exit 5
               echo '{ANSWER}'"#
        );
        assert_eq!(outcome(&script).await.expect("answered").auth["r.io"].username, "u");
        assert!(outcome(&format!("echo '{ANSWER}'")).await.is_ok(), "the input need not be read");
    }

    #[tokio::test]
    async fn an_error_has_the_plugins_stderr_truncated() {
        let said = outcome("echo 'no role for this node' >&2; exit 7").await.expect_err("it fails");
        assert!(
            said.contains("plugin") && said.contains("r.io/app") && said.contains("no role for this node"),
            "{said}"
        );
        let said = outcome("yes long | head -c 100000 >&2; exit 1").await.expect_err("it fails");
        assert!(said.len() < 300, "{said}");
        let said = outcome("head -c 5000 /dev/zero").await.expect_err("too long");
        assert!(said.contains("plugin_answer_bytes_max"), "{said}");
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_is_killed_with_its_process_group() {
        let dir = tempfile::tempdir().expect("a folder");
        let limits = Limits { timeout: Duration::from_millis(300), answer_bytes_max: 4096, stderr_bytes_max: 100 };
        let file = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let error = run(&provider(dir.path(), &script), "r.io/app", &limits).await.expect_err("it hangs");
        assert!(error.message.contains("no answer within"), "{error}");
        let id = fs::read_to_string(&file).expect("it ran").trim().to_owned();
        let alive = || {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            !status.is_empty() && !status.contains("State:\tZ")
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while alive() {
            assert!(std::time::Instant::now() < deadline, "process {id} is left");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_plugin_that_cannot_be_run_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut missing = provider(dir.path(), "");
        missing.program = dir.path().join("missing");
        let limits = Limits { timeout: Duration::from_secs(5), answer_bytes_max: 1, stderr_bytes_max: 1 };
        let error = run(&missing, "r.io/app", &limits).await.expect_err("missing");
        assert!(error.message.contains("missing"), "{error}");
    }
}
