//! Shared parts of the tests of `examples/`: roots of their images, a database on the machine, and
//! times of starts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{Platform, tools, wait};

/// Timeout of building an image's root, which downloads its packages.
const IMAGE_MAX: Duration = Duration::from_secs(1_200);

/// Returns the root of an example's image, built by its script `image`. It is below
/// `SAMPAN_SCENES`, or `target/scenes` without that variable, and rebuilt only when the script
/// changes. Call it before a test enters its own network namespace, which has no access to
/// packages.
pub fn root(example: &str) -> anyhow::Result<PathBuf> {
    let below =
        std::env::var_os("SAMPAN_SCENES").map_or_else(|| tools::workspace().join("target/scenes"), PathBuf::from);
    std::fs::create_dir_all(&below).with_context(|| format!("cannot make {}", below.display()))?;
    let (root, script) = (below.join(example), tools::workspace().join("examples").join(example).join("image"));
    let started = Instant::now();
    // Not `tools::command`: packages may come through a proxy. flock(1) serialises clones that
    // share the folder.
    let mut image = std::process::Command::new("timeout");
    image.args([IMAGE_MAX.as_secs().to_string(), "flock".to_owned()]);
    image.arg(below.join(format!("{example}.lock"))).arg(&script).arg(&root);
    image.env("PIP", format!("{} -m pip", tools::python().display())).stdin(Stdio::null());
    let made = image.output().context("cannot run timeout (coreutils)")?;
    ensure!(made.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&made.stderr));
    println!("{example}: the image's root was there after {:.1} s", started.elapsed().as_secs_f64());
    Ok(root)
}

/// Sets the value of a secret.
pub async fn set_secret(platform: &Platform, name: &str, value: &str) -> anyhow::Result<()> {
    let file = platform.work_dir().join(name);
    std::fs::write(&file, value)?;
    tools::run_ok(&mut platform.cli(&["secret", "set", name, "--file", &file.display().to_string()])).await?;
    Ok(std::fs::remove_file(file)?)
}

/// Prints the timings that the platform reports for the newest cold start of a function.
pub async fn print_cold_start(platform: &Platform, function: &str) -> anyhow::Result<()> {
    let line = wait::until(&format!("the log of {function} has a cold start"), || async {
        let query = serde_json::json!({"FunctionName": function, "Limit": 20});
        let logs = platform.api.call("GetFunctionLogs", query).await?;
        let records = logs["Data"].as_array().into_iter().flatten();
        let mut lines = records.filter_map(|record| record["Log"].as_str()).flat_map(str::lines);
        Ok(lines.find(|line| line.contains("Coldstart: ")).map(str::to_owned))
    })
    .await?;
    println!("{function}, cold start: {line}");
    Ok(())
}

/// Prints the time from a request to the end of its response, which tests do not check.
pub async fn timed<T>(what: &str, answer: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let started = Instant::now();
    let answer = answer.await?;
    println!("{what}: {:.1} ms", started.elapsed().as_secs_f64() * 1000.0);
    Ok(answer)
}

/// A MariaDB on the machine's loopback; stopped on drop.
pub struct MariaDb {
    /// TCP port of the server.
    pub port: u16,
    process: Child,
    // Last: the folder must outlive the process.
    folder: TempDir,
}

impl MariaDb {
    /// Starts a server without data.
    pub async fn start() -> anyhow::Result<Self> {
        let (folder, port) = (tempfile::Builder::new().prefix("mariadb-").tempdir()?, tools::free_port()?);
        let mut install = tools::command("mariadb-install-db");
        install.args(["--no-defaults", "--user=root", "--skip-test-db", "--auth-root-authentication-method=socket"]);
        tools::run_ok(install.arg(data(folder.path()))).await?;
        let process = server(folder.path(), port)?;
        let database = Self { port, folder, process };
        database.ready().await?;
        Ok(database)
    }

    async fn ready(&self) -> anyhow::Result<()> {
        wait::until("MariaDB answers", || async {
            Ok(tools::run(self.client().args(["-e", "SELECT 1"])).await?.ok.then_some(()))
        })
        .await
    }

    /// A client as root, without a selected database.
    pub fn client(&self) -> Command {
        let mut client = tools::command("mariadb");
        client.args([
            "--no-defaults",
            "--user=root",
            "--batch",
            "--skip-column-names",
            "--default-character-set=utf8mb4",
        ]);
        client.arg(format!("--socket={}", self.folder.path().join("socket").display()));
        client
    }

    /// Runs statements, and returns their output.
    pub async fn sql(&self, statements: &str) -> anyhow::Result<String> {
        tools::run_ok(self.client().args(["-e", statements])).await
    }

    /// Kills the server; its data remain.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    /// Restarts the server after [`MariaDb::kill`].
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = server(self.folder.path(), self.port)?;
        self.ready().await
    }
}

fn data(folder: &Path) -> String {
    format!("--datadir={}", folder.join("data").display())
}

fn server(folder: &Path, port: u16) -> anyhow::Result<Child> {
    let mut server = tools::command("mariadbd");
    server.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", &format!("--port={port}")]);
    server.arg(data(folder)).arg(format!("--socket={}", folder.join("socket").display()));
    server.arg(format!("--pid-file={}", folder.join("pid").display()));
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    Ok(server.stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()?)
}

/// Returns the state of an event once its run has ended.
pub async fn ended(platform: &Platform, id: &str) -> anyhow::Result<serde_json::Value> {
    wait::until(&format!("event {id} ends"), || async {
        let body = serde_json::json!({"InvokeRequestId": id});
        let state = platform.api.call("GetAsyncEventStatus", body).await?["Result"].clone();
        Ok((state["Status"] != "RUNNING").then_some(state))
    })
    .await
}
