//! A running `sampan up` with its own data directory; stopped cleanly or killed.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::api_client::ApiClient;
use crate::{images, leftovers, tools, wait};

/// Timeout of a start until it prints its addresses, and of a stop after SIGTERM.
const CHANGE_MAX: Duration = Duration::from_secs(60);
/// Timeout of a response.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// Number of lines of the platform's log that a failed test shows.
const SHOWN_LINES: usize = 60;

/// Output of `sampan up --output json` when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    control: String,
    gateway: String,
    cgroup: String,
}

/// A platform. On drop it is stopped without checks; tests end with [`Platform::stop`].
pub struct Platform {
    /// The API client with the platform's key pair.
    pub api: ApiClient,
    /// A plain HTTP client.
    pub http: reqwest::Client,
    /// Control address, as `http://127.0.0.1:port`.
    pub control: String,
    /// Gateway address, as `http://127.0.0.1:port`.
    pub gateway: String,
    credentials: PathBuf,
    cgroup: String,
    env: Vec<(String, String)>,
    process: Process,
    // Last field: the folder must outlive the process.
    work: TempDir,
}

impl Platform {
    /// Starts a platform with the default settings.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a platform with additional environment variables, such as `SAMPAN_POOL__KEEP_IDLE_S`.
    pub async fn start_with(env: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_at(env, "127.0.0.1:0", "127.0.0.1:0").await
    }

    /// Starts a platform that listens on these addresses, such as `0.0.0.0:0`.
    pub async fn start_at(env: &[(&str, &str)], control: &str, gateway: &str) -> anyhow::Result<Self> {
        Self::start_in(work_folder(&std::env::temp_dir())?, &[], owned(env), control, gateway).await
    }

    /// Starts a platform through another program, such as `setpriv`, whose command line is `words`;
    /// `{data}` in them is replaced by the data directory.
    pub async fn start_through(words: &[&str], env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let work = work_folder(&std::env::temp_dir())?;
        Self::start_in(work, words, owned(env), "127.0.0.1:0", "127.0.0.1:0").await
    }

    /// Starts a platform with its folder below another, such as a small file system.
    pub async fn start_below(folder: &Path, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_in(work_folder(folder)?, &[], owned(env), "127.0.0.1:0", "127.0.0.1:0").await
    }

    /// Starts a platform whose own log is /dev/full.
    pub async fn start_without_log() -> anyhow::Result<Self> {
        let work = work_folder(&std::env::temp_dir())?;
        std::os::unix::fs::symlink("/dev/full", log_file(work.path()))?;
        Self::start_in(work, &[], Vec::new(), "127.0.0.1:0", "127.0.0.1:0").await
    }

    async fn start_in(
        work: TempDir,
        through: &[&str],
        env: Vec<(String, String)>,
        control: &str,
        gateway: &str,
    ) -> anyhow::Result<Self> {
        let mut process = Process::spawn(work.path(), through, &env, control, gateway)?;
        let ready = process.ready().await?;
        // Installed once per process; another test may have done it already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
        let Ready { control, gateway, cgroup } = ready;
        let credentials = data_dir(work.path()).join("credentials.toml");
        let api = ApiClient::new(http.clone(), control.clone(), &credentials)?;
        let platform = Self { api, http, control, gateway, credentials, cgroup, env, process, work };
        wait::until("/healthz answers", || async {
            let answer = platform.http.get(format!("{}/healthz", platform.control)).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        })
        .await?;
        Ok(platform)
    }

    /// `host:port` of the platform's registry.
    pub fn registry(&self) -> &str {
        self.control.trim_start_matches("http://")
    }

    /// A folder for the test's files; removed with the platform.
    pub fn work_dir(&self) -> &Path {
        self.work.path()
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(self.work.path())
    }

    /// The platform's log so far.
    pub fn platform_log(&self) -> String {
        log(self.work.path())
    }

    /// The platform's process id.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.process.child.id().context("the platform has ended")
    }

    /// Name of the parent cgroup of the platform's instances, in every hierarchy.
    pub fn cgroup_name(&self) -> String {
        self.cgroup.clone()
    }

    /// A client command with the platform's credentials.
    pub fn cli(&self, args: &[&str]) -> Command {
        let mut command = tools::command(&tools::sampan().display().to_string());
        command.args(args).arg("--credentials").arg(&self.credentials);
        command
    }

    /// As [`Platform::cli_json`], for a command that prints one document per line.
    pub async fn cli_json_lines(&self, args: &[&str]) -> anyhow::Result<Vec<Value>> {
        let said = tools::run_ok(self.cli(args).args(["--output", "json"])).await?;
        said.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("{args:?} printed {line}")))
            .collect()
    }

    /// Runs a client command with `--output json` and returns its output.
    pub async fn cli_json(&self, args: &[&str]) -> anyhow::Result<Value> {
        let said = tools::run_ok(self.cli(args).args(["--output", "json"])).await?;
        serde_json::from_str(&said).with_context(|| format!("{args:?} printed {said}"))
    }

    /// Pushes a folder as an image into the platform's registry.
    pub async fn push_folder(&self, folder: &Path, entrypoint: &[&str], image: &str) -> anyhow::Result<()> {
        let folder = folder.display().to_string();
        let mut args = vec!["push", "--from-dir", &folder];
        for word in entrypoint {
            args.extend(["--entrypoint", word]);
        }
        args.push(image);
        tools::run_ok(&mut self.cli(&args)).await.map(drop)
    }

    /// Pushes the static server as `hello:v1`.
    pub async fn push_hello(&self) -> anyhow::Result<()> {
        self.push_folder(images::hello_folder()?.path(), &["/hello"], "hello:v1").await
    }

    /// Deploys a function (a web function unless `flags` set another type), with a timeout of 30 s
    /// unless they set one, and waits until it is active.
    pub async fn deploy(&self, function: &str, image: &str, flags: &[&str]) -> anyhow::Result<Value> {
        let mut args = vec!["deploy", function, "--image", image];
        // The default of 3 s is too short for a start on a loaded machine.
        if !flags.contains(&"--timeout") {
            args.extend(["--timeout", "30"]);
        }
        args.extend(flags);
        self.cli_json(&args).await
    }

    /// URL of a function; `path` begins with `/` or is empty.
    pub fn url(&self, function: &str, path: &str) -> String {
        format!("{}/fn/default/{function}{path}", self.gateway)
    }

    /// Calls a web function.
    pub async fn get(&self, function: &str, path: &str) -> anyhow::Result<reqwest::Response> {
        let url = self.url(function, path);
        self.http.get(&url).send().await.with_context(|| format!("GET {url}"))
    }

    /// Kills the platform with SIGKILL.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.ended().await.map(drop)
    }

    /// Waits until the platform has exited by itself.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.ended().await
    }

    /// Restarts the platform after [`Platform::kill`], on the same data directory and addresses.
    pub async fn restart(self) -> anyhow::Result<Self> {
        let control = self.registry().to_owned();
        self.restart_at(&control).await
    }

    /// Restarts the platform with another control address.
    pub async fn restart_at(self, control: &str) -> anyhow::Result<Self> {
        let Self { work, env, gateway, process, .. } = self;
        drop(process);
        Self::start_in(work, &[], env, control, gateway.trim_start_matches("http://")).await
    }

    /// Kills the platform with SIGKILL, and restarts it without waiting for its exit.
    pub async fn kill_and_restart(self) -> anyhow::Result<Self> {
        let control = self.registry().to_owned();
        let Self { work, env, gateway, mut process, .. } = self;
        process.signal(Signal::KILL)?;
        let started = Self::start_in(work, &[], env, &control, gateway.trim_start_matches("http://")).await;
        process.ended().await?;
        started
    }

    /// Sends SIGTERM, and again once the first was handled; returns the exit status.
    pub async fn terminate_twice(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        wait::until("it stops", || async { Ok(self.platform_log().contains("stopping").then_some(())) }).await?;
        self.process.signal(Signal::TERM)?;
        self.process.ended().await
    }

    /// Sends SIGTERM and returns at once.
    pub fn begin_stop(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// Sends SIGTERM and waits for the exit; [`Platform::restart`] starts the platform again.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.process.ended().await
    }

    /// Stops the platform with SIGTERM. Fails unless it exits successfully and leaves no process,
    /// mount or cgroup.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let cgroup = self.cgroup_name();
        let instances = leftovers::processes(&cgroup);
        self.process.signal(Signal::TERM)?;
        let status = self.process.ended().await?;
        ensure!(status.success(), "the platform ended with {status}:\n{}", log_tail(self.work.path()));
        let mut left = leftovers::of(&self.data_dir(), Some(&cgroup));
        let alive = instances.into_iter().filter(|id| Path::new(&format!("/proc/{id}")).exists());
        left.extend(alive.map(|id| format!("process {id}")));
        ensure!(left.is_empty(), "the platform left behind:\n{}", left.join("\n"));
        Ok(())
    }
}

fn work_folder(below: &Path) -> anyhow::Result<TempDir> {
    ensure!(rustix::process::geteuid().is_root(), "end-to-end tests make namespaces and cgroups: run them as root");
    tempfile::Builder::new().prefix("sampan-e2e-").tempdir_in(below).context("cannot make a folder")
}

fn owned(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The platform's process, stopped on drop.
struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    work: PathBuf,
}

impl Process {
    fn spawn(
        work: &Path,
        through: &[&str],
        env: &[(String, String)],
        control: &str,
        gateway: &str,
    ) -> anyhow::Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log_file(work))?;
        let program = tools::sampan();
        let data = data_dir(work).display().to_string();
        let words = through.iter().map(|word| word.replace("{data}", &data)).chain([program.display().to_string()]);
        let words: Vec<String> = words.collect();
        let mut command = tools::command(&words[0]);
        command
            .args(&words[1..])
            .args(["up", "--output", "json", "--control-addr", control, "--gateway-addr", gateway])
            .arg("--data-dir")
            .arg(data_dir(work))
            // Egress changes the machine's network; its tests create a network namespace first.
            .env("SAMPAN_NETWORK__ENABLED", "false")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            // The drop handler below sends SIGTERM first, so that instances end too.
            .kill_on_drop(false);
        let mut child = command.spawn().with_context(|| {
            format!("cannot run {}; `cargo xtask test` or `cargo build -p sampan` builds it", program.display())
        })?;
        let stdout = BufReader::new(child.stdout.take().context("the output is piped")?);
        Ok(Self { child, stdout, work: work.to_owned() })
    }

    /// Reads the line with the listening addresses.
    async fn ready(&mut self) -> anyhow::Result<Ready> {
        let mut line = String::new();
        let read = tokio::time::timeout(CHANGE_MAX, self.stdout.read_line(&mut line)).await;
        read.with_context(|| format!("sampan up says nothing:\n{}", log_tail(&self.work)))??;
        serde_json::from_str(&line).with_context(|| format!("sampan up said {line:?}:\n{}", log_tail(&self.work)))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.context("the platform has ended")?, signal).context("cannot signal the platform")
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(CHANGE_MAX, self.child.wait()).await;
        let ended = ended.with_context(|| format!("the platform does not end:\n{}", log_tail(&self.work)))?;
        ended.context("cannot wait for the platform")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process is still running: the test failed. Further checks are skipped, but nothing
        // may be left behind.
        let running = matches!(self.child.try_wait(), Ok(None));
        if running || std::thread::panicking() {
            eprintln!("{}", log_tail(&self.work));
        }
        if !running || self.signal(Signal::TERM).is_err() {
            return;
        }
        let deadline = std::time::Instant::now() + CHANGE_MAX;
        while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Fails only when it has already exited.
        let _ = self.child.start_kill();
    }
}

fn data_dir(work: &Path) -> PathBuf {
    work.join("data")
}

fn log_file(work: &Path) -> PathBuf {
    work.join("sampan.log")
}

/// The platform's log; empty when it is not a regular file, such as /dev/full, which has no end.
fn log(work: &Path) -> String {
    let file = log_file(work);
    let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
    if is_file { std::fs::read_to_string(file).unwrap_or_default() } else { String::new() }
}

/// The end of the platform's log, shown by a failed test.
fn log_tail(work: &Path) -> String {
    let text = log(work);
    let lines: Vec<&str> = text.lines().collect();
    format!("--- end of the platform's log ---\n{}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"))
}
