//! The image of `clients/ending.c`, a server that reports signals and waits before it exits, and
//! its processes on the machine.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::oci::{self, Compression, Format, Image, Layer};
use crate::{Platform, layer_tar::LayerTar, leftovers, tools, wait};

/// Pushes it as `ending:v1`; the image's stop signal is SIGINT.
pub async fn push(platform: &Platform) -> anyhow::Result<()> {
    let program = platform.work_dir().join("ending");
    let source = tools::workspace().join("e2e/clients/ending.c");
    tools::run_ok(tools::command("cc").args(["-static", "-O1", "-w", "-o"]).arg(&program).arg(source)).await?;
    let mut tar = LayerTar::new();
    tar.file("ending", 0o755, &fs::read(&program)?)?;
    let mut config = oci::config(&["/ending"]);
    config["config"]["StopSignal"] = "SIGINT".into();
    let layout = platform.work_dir().join("ending-layout");
    let layers = [Layer::new(&tar.finish()?, Compression::Gzip)?];
    Image::new(Format::Oci, config, &layers).write_layout(&layout, "v1")?;
    tools::run_ok(&mut platform.cli(&["push", &layout.display().to_string(), "ending:v1"])).await.map(drop)
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
pub async fn until_asked(pid: u32) -> anyhow::Result<()> {
    wait::until("the server is asked to end", || async {
        let name = name(pid);
        anyhow::ensure!(name.is_some(), "it has ended without being asked");
        Ok((name.as_deref() == Some("asked")).then_some(()))
    })
    .await
}

/// Lets a server that received its stop signal exit.
pub fn let_go(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    Ok(kill_process(pid.ok_or_else(|| anyhow::anyhow!("no number of a process"))?, Signal::USR1)?)
}

/// Waits until the process has exited.
pub async fn until_gone(pid: u32) -> anyhow::Result<()> {
    wait::until("the server is gone", || async { Ok(name(pid).is_none().then_some(())) }).await
}
