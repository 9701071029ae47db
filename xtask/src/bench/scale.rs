//! `bench scale`: lookup of a function among many; a thousand cycles from no instance to one and
//! back; and warm calls of many functions compared with those of one.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::http::Connection;
use super::{binaries, median, quantile};
use crate::process::{cargo, run as run_command};
use crate::quickstart::Up;

/// Number of sequential cold calls.
const CYCLES: usize = 1000;
/// Pause between cold calls: long enough for the instance to end.
const PAUSE: Duration = Duration::from_millis(20);
/// Numbers of functions called concurrently, with the rate of each per second: within the capacity
/// of two cores that also run the clients.
const MANY: [(usize, usize); 2] = [(100, 10), (1000, 2)];
/// Rate of the single function per second: enough for a 99th percentile.
const ALONE_RATE: usize = 100;
/// Number of clients that share the functions.
const CLIENTS: usize = 10;
/// Length of a measurement.
const MEASURE: Duration = Duration::from_secs(5);

/// Measures all and prints the figures.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    run_command(cargo(root).args(["bench", "--locked", "--quiet", "-p", "sampan-pool", "--bench", "registered"]))?;
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello"))?;
    let push = ["push", "--from-dir", &image.display().to_string(), "--entrypoint", "/hello", "hello:v1"];
    to_zero_and_back(&sampan, &work.path().join("zero"), &push)?;
    many_beside_one(&sampan, &work.path().join("many"), &push, rounds)
}

fn to_zero_and_back(sampan: &Path, data: &Path, push: &[&str]) -> anyhow::Result<()> {
    let settings = [
        ("SAMPAN_POOL__KEEP_IDLE_S", "0"),
        ("SAMPAN_POOL__REAP_INTERVAL_MS", "1"),
        ("SAMPAN_POOL__STARTS_PER_MINUTE_MAX", "0"),
    ];
    let up = Up::start_with(sampan, data, &settings)?;
    up.client(push)?;
    up.client(&["deploy", "zero", "--image", "hello:v1", "--no-start-check"])?;
    let gateway = address(&up)?;
    let (mut times_ms, mut failed) = (Vec::new(), 0);
    for _ in 0..CYCLES {
        let started = Instant::now();
        match Connection::open(gateway, "bench", "/fn/default/zero/").and_then(|mut connection| connection.call()) {
            Ok(_) => times_ms.push(started.elapsed().as_secs_f64() * 1e3),
            Err(_) => failed += 1,
        }
        std::thread::sleep(PAUSE);
    }
    let (p50, p99) = (median(&mut times_ms), quantile(&mut times_ms, 0.99));
    println!("from zero and back {CYCLES} times: {failed} calls failed (goal 0); p50 {p50:.1} ms, p99 {p99:.1} ms");
    Ok(())
}

fn many_beside_one(sampan: &Path, data: &Path, push: &[&str], rounds: usize) -> anyhow::Result<()> {
    let settings = [
        ("SAMPAN_POOL__KEEP_IDLE_S", "600"),
        ("SAMPAN_POOL__KEEP_IDLE_S_MIN", "600"),
        ("SAMPAN_POOL__STARTS_PER_MINUTE_MAX", "0"),
        ("SAMPAN_POOL__MEMORY_MB_MAX", "1000000"),
        ("SAMPAN_POOL__INSTANCES_MAX", "2000"),
    ];
    let up = Up::start_with(sampan, data, &settings)?;
    up.client(push)?;
    for number in 0..MANY.iter().map(|(functions, _)| *functions).max().unwrap_or(0) {
        up.quiet_client(&[
            "deploy",
            &format!("many-{number}"),
            "--image",
            "hello:v1",
            "--memory",
            "64",
            "--no-start-check",
        ])?;
    }
    let gateway = address(&up)?;
    for (functions, rate) in MANY {
        let (mut one, mut many) = (Vec::new(), Vec::new());
        // The first round starts the instances.
        for round in 0..=rounds {
            let (alone, together) = (paced(gateway, 1, ALONE_RATE)?, paced(gateway, functions, rate)?);
            if round > 0 {
                one.push(alone);
                many.push(together);
            }
        }
        let (one, many) = (median(&mut one), median(&mut many));
        println!(
            "p99 of warm calls: 1 function alone {one:.0} us, {functions} functions at {rate} a second each {many:.0} us: {:.2}x (goal <= 2)",
            many / one
        );
    }
    Ok(())
}

/// 99th percentile of the latency, in microseconds, of `functions` functions called `rate` times a
/// second each, distributed over the clients.
fn paced(gateway: SocketAddr, functions: usize, rate: usize) -> anyhow::Result<f64> {
    let clients = CLIENTS.min(functions);
    let begun = Instant::now();
    let client = |client: usize| -> anyhow::Result<Vec<f64>> {
        let mine = (client..functions).step_by(clients);
        let open = |number: usize| Connection::open(gateway, "bench", &format!("/fn/default/many-{number}/"));
        let mut connections = mine.map(open).collect::<anyhow::Result<Vec<_>>>()?;
        let step = Duration::from_secs(1) / u32::try_from(rate * connections.len()).unwrap_or(1);
        let (mut times, mut next) = (Vec::new(), begun);
        while begun.elapsed() < MEASURE {
            for connection in &mut connections {
                next += step;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                times.push(connection.call()?.as_secs_f64() * 1e6);
            }
        }
        Ok(times)
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let client = &client;
        let threads: Vec<_> = (0..clients).map(|number| scope.spawn(move || client(number))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut times = Vec::new();
    for client in all {
        times.extend(client.map_err(|_| anyhow::anyhow!("a client panicked"))??);
    }
    Ok(quantile(&mut times, 0.99))
}

fn address(up: &Up) -> anyhow::Result<SocketAddr> {
    up.gateway.trim_start_matches("http://").parse().context("the gateway's address")
}
