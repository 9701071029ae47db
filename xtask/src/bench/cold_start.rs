//! `bench cold-start`: time to the first response of a function without an instance, image
//! prepared, 100 ms idle between starts; with `runc run` of the same root file system and the bare
//! process as peers, each timed from its start to its first response.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::flask::Flask;
use super::http::{Connection, free_port};
use super::runc::{Bundle, answered};
use super::{binaries, median, quantile};
use crate::process::ChildGuard;
use crate::quickstart::Up;

/// Number of starts of each kind per round.
const STARTS: usize = 20;
/// Number of starts of the Flask application per round.
const FLASK_STARTS: usize = 5;
/// Pause before each start: cold starts usually happen on an idle machine.
const IDLE: Duration = Duration::from_millis(100);

/// Measures the three alternately, and prints medians and ratios.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let bundle = Bundle::make(work.path(), &hello)?;
    let up = Up::start(&sampan, &work.path().join("data"))?;
    let image = bundle.root().display().to_string();
    up.client(&["push", "--from-dir", &image, "--entrypoint", "/hello", "hello:v1"])?;
    // One function per start, so that each call is a first one.
    let starts = rounds * STARTS;
    for number in 0..starts {
        up.quiet_client(&["deploy", &format!("cold-{number}"), "--image", "hello:v1", "--no-start-check"])?;
    }
    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    let (mut ours, mut runc, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..starts {
        std::thread::sleep(IDLE);
        ours.push(first_call(gateway, &format!("/fn/default/cold-{number}/"))?);
        std::thread::sleep(IDLE);
        runc.push(bundle.start(&number.to_string())?);
        std::thread::sleep(IDLE);
        bare.push(bare_start(&hello)?);
    }
    for (name, times) in [("sampan", &mut ours), ("runc run", &mut runc), ("bare process", &mut bare)] {
        println!("{name:13} p50 {:8.2} ms  p99 {:8.2} ms", median(times), quantile(times, 0.99));
    }
    let share_p99 = quantile(&mut ours, 0.99) - median(&mut bare);
    let (ours, runc, bare) = (median(&mut ours), median(&mut runc), median(&mut bare));
    println!("sampan starts {:.1}x faster than runc run (goal >= 10)", runc / ours);
    println!(
        "platform share (sampan less the bare process's median): {:.2} ms p50 (goal <= 2.5), {share_p99:.2} ms p99 (goal <= 6)",
        ours - bare
    );
    flask(&up, gateway, work.path(), rounds)
}

/// The same for an interpreted application, whose own start takes most of the time.
fn flask(up: &Up, gateway: SocketAddr, work: &Path, rounds: usize) -> anyhow::Result<()> {
    let flask = Flask::make(work)?;
    let image = flask.root().display().to_string();
    let server = ["--entrypoint", "/usr/bin/python3", "--entrypoint", "/srv/app.py"];
    up.client(&[&["push", "--from-dir", &image][..], &server, &["flask:v1"]].concat())?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for number in 0..rounds * FLASK_STARTS {
        up.quiet_client(&[
            "deploy",
            &format!("flask-{number}"),
            "--image",
            "flask:v1",
            "--memory",
            "1024",
            "--no-start-check",
        ])?;
        std::thread::sleep(IDLE);
        ours.push(first_call(gateway, &format!("/fn/default/flask-{number}/"))?);
        std::thread::sleep(IDLE);
        bare.push(flask.start_bare()?);
    }
    let (ours, bare) = (median(&mut ours), median(&mut bare));
    println!("flask         sampan p50 {ours:8.1} ms, bare {bare:8.1} ms: {:.2}x (goal <= 1.1)", ours / bare);
    Ok(())
}

fn first_call(gateway: SocketAddr, path: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    Connection::open(gateway, "bench", path)?.call()?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn bare_start(hello: &Path) -> anyhow::Result<f64> {
    let port = free_port()?;
    let started = Instant::now();
    let _child = ChildGuard(Command::new(hello).env("PORT", port.to_string()).stdout(Stdio::null()).spawn()?);
    answered(port, started)
}
