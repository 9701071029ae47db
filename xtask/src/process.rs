//! Runs programs with timeouts: commands shown to the user, and children that are stopped on drop.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Timeout of a command that builds, installs or tests.
const RUN_MAX: Duration = Duration::from_secs(3 * 60 * 60);
/// Timeout of a command whose output is captured.
const OUTPUT_MAX: Duration = Duration::from_secs(30 * 60);
/// Timeout of a child after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(60);

/// The folder of the workspace's `Cargo.toml`, in the checkout from which cargo runs: checkouts
/// that share a target folder also share this program.
pub fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR");
    let here = here.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    Ok(here.parent().context("xtask lies in the workspace's root folder")?.to_owned())
}

/// Prints and runs a command, and fails if it fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    run_within(command, RUN_MAX)
}

/// As [`run`], with another timeout.
pub fn run_within(command: &mut Command, time_max: Duration) -> anyhow::Result<()> {
    let shown = shown(command);
    eprintln!("+ {shown}");
    let status = status_within(command, time_max)?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a command without printing it, and returns its status.
pub fn status_within(command: &mut Command, time_max: Duration) -> anyhow::Result<ExitStatus> {
    let shown = shown(command);
    let mut child = ChildGuard(command.spawn().with_context(|| format!("cannot run `{shown}`"))?);
    match ends_within(&mut child.0, time_max)? {
        Some(status) => Ok(status),
        None => {
            child.0.kill().ok();
            bail!("`{shown}` did not end within {} s and was killed", time_max.as_secs())
        }
    }
}

/// Waits for a child; `None` when it still runs after `time_max`.
pub fn ends_within(child: &mut Child, time_max: Duration) -> anyhow::Result<Option<ExitStatus>> {
    if let Some(status) = child.try_wait()? {
        return Ok(Some(status));
    }
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).context("cannot watch a child")?;
    let deadline = Instant::now() + time_max;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(child.wait()?)),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs a command and returns its standard output, trimmed.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).stdout(Stdio::piped());
    let mut child = ChildGuard(command.spawn().with_context(|| format!("cannot run `{shown}`"))?);
    let mut stdout = child.0.stdout.take().context("the output is piped")?;
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        stdout.read_to_end(&mut said).map(|_| said)
    });
    let Some(status) = ends_within(&mut child.0, OUTPUT_MAX)? else {
        child.0.kill().ok();
        bail!("`{shown}` did not end within {} s and was killed", OUTPUT_MAX.as_secs());
    };
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    let said = reader.join().map_err(|_| anyhow::anyhow!("the reader of `{shown}` panicked"))??;
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// Whether a program is on the PATH.
pub fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|paths| std::env::split_paths(&paths).any(|dir| dir.join(program).is_file()))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A child that gets SIGTERM on drop and is reaped.
pub struct ChildGuard(pub Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        end(&mut self.0, STOP_MAX);
    }
}

/// Sends SIGTERM, and SIGKILL after the timeout.
fn end(child: &mut Child, time_max: Duration) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    // The program cleans up on SIGTERM; the wait shows whether it failed.
    let asked = kill_process(Pid::from_child(child), Signal::TERM);
    if asked.is_err() || !matches!(ends_within(child, time_max), Ok(Some(_))) {
        child.kill().ok();
        child.wait().ok();
    }
}

/// A `cargo` command in the workspace.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Builds the `sampan` binary of a profile (`dev` or `release`) and returns its path.
pub fn build_sampan(root: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    run(cargo(root).args(["build", "--locked", "--package", "sampan", "--profile", profile]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target_dir(root).join(folder).join("sampan"))
}

/// Builds the static program of `examples/NAME`, such as `hello`, and returns its path.
pub fn build_example(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = root.join("examples").join(name);
    let target = target_dir(root).join(name);
    let mut command = cargo(&folder);
    // The example is a workspace with its own flags; flags of this build must not affect it.
    command.args(["build", "--locked", "--release"]).env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS");
    run(&mut command)?;
    Ok(target.join("x86_64-unknown-linux-gnu/release").join(name))
}

/// The target folder of builds.
pub fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_that_does_not_end_is_killed_and_named() {
        let error = status_within(&mut sh("exec sleep 600"), Duration::from_millis(50)).expect_err("it does not end");
        assert!(error.to_string().contains("sleep 600") && error.to_string().contains("was killed"), "{error}");
        let status = status_within(&mut sh("exit 3"), Duration::from_secs(60)).expect("it ends");
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn a_child_that_ignores_sigterm_ends_with_its_guard() {
        let mut child = sh("trap '' TERM; echo ready; exec sleep 1000");
        let mut child = child.stdout(Stdio::piped()).spawn().expect("sh runs");
        let mut ready = [0; 5];
        child.stdout.take().expect("piped").read_exact(&mut ready).expect("it says so");
        let id = child.id();
        end(&mut child, Duration::from_millis(50));
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn output_is_whole_however_long_it_is() {
        let said = output(&mut sh("head -c 1000000 /dev/zero | tr '\\0' x")).expect("it ends");
        assert_eq!(said.len(), 1_000_000);
    }
}
