//! The image of `clients/graceful.c`, a server that reports its stop signal and exits only when
//! allowed to, and its processes on the machine.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::oci::{self, Compression, Format, Image, Layer};
use crate::{Platform, layer_tar::LayerTar, leftovers, tools, wait};

/// Pushes it as `graceful:v1`; the image's stop signal is SIGINT.
pub async fn push(platform: &Platform) -> anyhow::Result<()> {
    let program = platform.work_dir().join("graceful");
    let source = tools::workspace().join("e2e/clients/graceful.c");
    tools::run_ok(tools::command("cc").args(["-static", "-O1", "-w", "-o"]).arg(&program).arg(source)).await?;
    let mut tar = LayerTar::new();
    tar.file("graceful", 0o755, &fs::read(&program)?)?;
    let mut config = oci::config(&["/graceful"]);
    config["config"]["StopSignal"] = "SIGINT".into();
    let layout = platform.work_dir().join("graceful-layout");
    let layers = [Layer::new(&tar.finish()?, Compression::Gzip)?];
    Image::new(Format::Oci, config, &layers).write_layout(&layout, "v1")?;
    tools::run_ok(&mut platform.cli(&["push", &layout.display().to_string(), "graceful:v1"])).await.map(drop)
}

/// Current processes of instances with this name.
pub fn named(platform: &Platform, name: &str) -> Vec<u32> {
    let processes = leftovers::processes(&platform.cgroup_name());
    processes.into_iter().filter(|pid| self::name(*pid).as_deref() == Some(name)).collect()
}

/// The name of a running process.
pub fn name(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned())
}

/// Waits until the server has received its stop signal.
pub async fn until_signalled(pid: u32) -> anyhow::Result<()> {
    wait::until("the server has its stop signal", || async {
        let name = name(pid);
        anyhow::ensure!(name.is_some(), "it exited without a stop signal");
        Ok((name.as_deref() == Some("stopping")).then_some(()))
    })
    .await
}

/// Allows a server that received its stop signal to exit.
pub fn allow_exit(pid: u32) -> anyhow::Result<()> {
    signal(pid, Signal::USR1)
}

/// Makes a server answer the event that it holds.
pub fn answer(pid: u32) -> anyhow::Result<()> {
    signal(pid, Signal::USR2)
}

fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    Ok(kill_process(pid.ok_or_else(|| anyhow::anyhow!("not a process id"))?, signal)?)
}

/// Waits until the process has exited.
pub async fn until_gone(pid: u32) -> anyhow::Result<()> {
    wait::until("the server is gone", || async { Ok(name(pid).is_none().then_some(())) }).await
}
