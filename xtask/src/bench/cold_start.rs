//! `bench cold-start`: the first answer of a function that has no instance, image prepared, 100 ms idle between starts;
//! beside `runc run` of the same root file system and the bare process, each timed from its start to its first answer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::http::{Connection, free_port};
use super::{median, quantile};
use crate::process::{Stopping, build_hello, build_sampan, on_path, run as run_loud};
use crate::quickstart::Up;

/// Starts of each kind in one round.
const STARTS: usize = 20;
/// Quiet time before each start: an idle machine is what a cold start meets.
const IDLE: Duration = Duration::from_millis(100);
/// Longest wait for a first answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two attempts to connect.
const CONNECT_INTERVAL: Duration = Duration::from_micros(100);

/// Measures the three ways in turn, round by round, and prints medians and ratios.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    if !on_path("runc") {
        bail!("runc is the peer of this bench: apt-get install runc");
    }
    let (sampan, hello) = (build_sampan(root, "release")?, build_hello(root)?);
    let work = tempfile::tempdir()?;
    let bundle = make_bundle(work.path(), &hello)?;
    let up = Up::start(&sampan, &work.path().join("data"))?;
    let image = bundle.join("rootfs").display().to_string();
    up.client(&["push", "--from-dir", &image, "--entrypoint", "/hello", "hello:v1"])?;
    // A function of its own for each start, so that each is a first call.
    let starts = rounds * STARTS;
    for number in 0..starts {
        up.quiet_client(&["deploy", &format!("cold-{number}"), "--image", "hello:v1"])?;
    }
    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    let (mut ours, mut runc, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..starts {
        std::thread::sleep(IDLE);
        ours.push(first_call(gateway, &format!("/fn/default/cold-{number}/"))?);
        std::thread::sleep(IDLE);
        runc.push(runc_start(&bundle, number)?);
        std::thread::sleep(IDLE);
        bare.push(bare_start(&hello)?);
    }
    for (name, times) in [("sampan", &mut ours), ("runc run", &mut runc), ("bare process", &mut bare)] {
        println!("{name:13} p50 {:8.2} ms  p99 {:8.2} ms", median(times), quantile(times, 0.99));
    }
    let (ours, runc, bare) = (median(&mut ours), median(&mut runc), median(&mut bare));
    println!("sampan starts {:.1}x faster than runc run (goal >= 10)", runc / ours);
    println!("platform share (sampan less the bare process): {:.2} ms p50 (goal <= 2.5)", ours - bare);
    Ok(())
}

fn first_call(gateway: SocketAddr, path: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    Connection::open(gateway, "bench", path)?.call()?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

/// From `runc run` to the first answer; the container shares the host's network, which spares runc the network setup.
fn runc_start(bundle: &Path, number: usize) -> anyhow::Result<f64> {
    let name = format!("sampan-bench-{}-{number}", std::process::id());
    let port = free_port()?;
    write_runc_config(bundle, port)?;
    let started = Instant::now();
    let mut child = Command::new("runc")
        .args(["run", "--bundle"])
        .arg(bundle)
        .arg(&name)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let time = answered(port, started);
    Command::new("runc").args(["kill", &name, "KILL"]).stderr(Stdio::null()).status()?;
    child.wait()?;
    Command::new("runc").args(["delete", "-f", &name]).stderr(Stdio::null()).status()?;
    time
}

fn bare_start(hello: &Path) -> anyhow::Result<f64> {
    let port = free_port()?;
    let started = Instant::now();
    let _child = Stopping(Command::new(hello).env("PORT", port.to_string()).stdout(Stdio::null()).spawn()?);
    answered(port, started)
}

fn answered(port: u16, started: Instant) -> anyhow::Result<f64> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    loop {
        if Connection::open(address, "bench", "/").and_then(|mut c| c.call()).is_ok() {
            return Ok(started.elapsed().as_secs_f64() * 1e3);
        }
        if started.elapsed() > ANSWER_TIMEOUT {
            bail!("no answer on port {port} within {} s", ANSWER_TIMEOUT.as_secs());
        }
        std::thread::sleep(CONNECT_INTERVAL);
    }
}

fn make_bundle(work: &Path, hello: &Path) -> anyhow::Result<PathBuf> {
    let bundle = work.join("bundle");
    std::fs::create_dir_all(bundle.join("rootfs"))?;
    std::fs::copy(hello, bundle.join("rootfs/hello"))?;
    run_loud(Command::new("runc").args(["spec", "--bundle"]).arg(&bundle))?;
    Ok(bundle)
}

fn write_runc_config(bundle: &Path, port: u16) -> anyhow::Result<()> {
    let file = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/hello"]);
    config["process"]["env"] = serde_json::json!([format!("PORT={port}")]);
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|n| n["type"] != "network");
    }
    std::fs::write(&file, serde_json::to_vec(&config)?)?;
    Ok(())
}
