//! Running other programs: where the workspace is, loud commands, and children that end with their guard.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// The folder of the workspace's `Cargo.toml`.
pub fn workspace_root() -> anyhow::Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask lies in the workspace's root folder")?.to_owned())
}

/// Runs a command, shows what it is, and fails when it does.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = shown(command);
    eprintln!("+ {shown}");
    let status = command.status().with_context(|| format!("cannot run `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns its standard output, trimmed.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = shown(command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` ended with {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program is on the PATH.
pub fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|paths| std::env::split_paths(&paths).any(|dir| dir.join(program).is_file()))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// A child that is asked to stop, then waited for, when the guard goes.
pub struct Stopping(pub Child);

impl Drop for Stopping {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // The program cleans up on SIGTERM; its exit is what we wait for.
        let pid = self.0.id().to_string();
        if Command::new("kill").args(["-TERM", &pid]).status().is_err() {
            self.0.kill().ok();
        }
        self.0.wait().ok();
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
    // The example has a workspace and flags of its own; those of this build must not leak into it.
    command.args(["build", "--locked", "--release"]).env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS");
    run(&mut command)?;
    Ok(target.join("x86_64-unknown-linux-gnu/release").join(name))
}

fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
