//! Runs programs, including the platform's own; errors name the package to install.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};

/// Timeout of a program.
const RUN_MAX: Duration = Duration::from_secs(240);

/// Programs whose Debian packages have other names.
const PACKAGES: &[(&str, &str)] =
    &[("cc", "gcc"), ("htpasswd", "apache2-utils"), ("setpriv", "util-linux"), ("sh", "dash")];

/// Variables that would send even requests to this machine through a proxy.
const PROXIES: &[&str] = &["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Result of a program.
#[derive(Debug)]
pub struct ProgramOutput {
    /// Whether its exit code was 0.
    pub ok: bool,
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A command that is killed when the test ends, and uses no proxy.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in PROXIES {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command until it exits, successfully or not.
pub async fn run(command: &mut Command) -> anyhow::Result<ProgramOutput> {
    let shown = shown(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| cannot_run(command.as_std().get_program()))?;
    let output = tokio::time::timeout(RUN_MAX, child.wait_with_output()).await;
    let output = output.with_context(|| format!("`{shown}` does not end"))??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (ok, code) = (output.status.success(), output.status.code());
    Ok(ProgramOutput { ok, code, stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// As [`run`], with the raw exit status and output.
pub async fn output(command: &mut Command) -> anyhow::Result<Output> {
    let shown = shown(command);
    // A timeout drops the command, which kills it (see [`command`]).
    let output = tokio::time::timeout(RUN_MAX, command.output()).await;
    output.with_context(|| format!("`{shown}` does not end"))?.with_context(|| format!("cannot run `{shown}`"))
}

/// Waits until a child exits, and returns its output.
pub async fn output_of(child: Child) -> anyhow::Result<Output> {
    let output = tokio::time::timeout(RUN_MAX, child.wait_with_output()).await;
    Ok(output.context("a child does not end")??)
}

/// Runs a command that must succeed, and returns its standard output.
pub async fn run_ok(command: &mut Command) -> anyhow::Result<String> {
    let said = run(command).await?;
    if !said.ok {
        bail!("`{}` failed:\n{}{}", shown(command), said.stdout, said.stderr);
    }
    Ok(said.stdout)
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn cannot_run(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned();
    let package = PACKAGES.iter().find(|(program, _)| *program == name).map_or(name.as_str(), |(_, package)| package);
    format!("cannot run {name}: `cargo xtask test` installs it, or `apt-get install {package}`")
}

/// The root of the checkout that runs the tests, possibly not the one that compiled them.
pub fn workspace() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).parent().map(Path::to_owned).unwrap_or_default()
}

/// The `sampan` binary: `SAMPAN_BIN`, or the debug build.
pub fn sampan() -> PathBuf {
    named("SAMPAN_BIN", "target/debug/sampan")
}

/// The static server of `examples/hello`: `SAMPAN_HELLO`, or the build of `cargo xtask`.
pub fn hello() -> PathBuf {
    named("SAMPAN_HELLO", "target/hello/x86_64-unknown-linux-gnu/release/hello")
}

/// The program of `examples/hostile`: `SAMPAN_HOSTILE`, or the build of `cargo xtask`.
pub fn hostile() -> PathBuf {
    named("SAMPAN_HOSTILE", "target/hostile/x86_64-unknown-linux-gnu/release/hostile")
}

/// A Python with the official clients: `SAMPAN_PYTHON`, or the one of `cargo xtask test`.
pub fn python() -> PathBuf {
    named("SAMPAN_PYTHON", "target/python/bin/python")
}

fn named(variable: &str, below_workspace: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| workspace().join(below_workspace), PathBuf::from)
}

/// A free port.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}
