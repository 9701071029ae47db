//! `bench burst`: 200 concurrent calls to a function without an instance, each of 50 ms in its own
//! instance.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::http::Connection;
use super::{binaries, median, quantile};

use crate::quickstart::Up;

/// Number of concurrent calls.
const CALLS: usize = 200;
/// A call of 50 ms.
const PATH: &str = "/fn/default/burst/sleep?50";
/// Timeout until all instances have ended between two rounds.
const EMPTY_MAX: Duration = Duration::from_secs(60);

/// Measures each round and prints medians.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let settings = [("SAMPAN_POOL__KEEP_IDLE_S", "1"), ("SAMPAN_POOL__STARTS_PER_MINUTE_MAX", "0")];
    let up = Up::start_with(&sampan, &work.path().join("data"), &settings)?;
    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello"))?;
    up.client(&["push", "--from-dir", &image.display().to_string(), "--entrypoint", "/hello", "hello:v1"])?;
    up.client(&["deploy", "burst", "--image", "hello:v1", "--memory", "64", "--no-start-check"])?;
    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    let (mut middles, mut slowest, mut refused) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        until_empty(&up)?;
        let (mut times_ms, failed) = burst(gateway);
        refused += failed;
        middles.push(median(&mut times_ms));
        slowest.push(quantile(&mut times_ms, 0.99));
    }
    println!(
        "{CALLS} calls of 50 ms at once, from no instance: {refused} of {} not answered with 200 (goal 0)",
        CALLS * rounds
    );
    println!("p50 {:8.0} ms  p99 {:8.0} ms (goal <= 1000)", median(&mut middles), median(&mut slowest));
    Ok(())
}

/// Returns the latencies of successful calls, and the number of failed ones.
fn burst(gateway: SocketAddr) -> (Vec<f64>, usize) {
    let ready = Barrier::new(CALLS);
    let call = || -> anyhow::Result<f64> {
        let connection = Connection::open(gateway, "bench", PATH);
        ready.wait();
        let started = Instant::now();
        connection?.call()?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CALLS).map(|_| scope.spawn(call)).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let times: Vec<f64> = all.into_iter().filter_map(|call| call.ok()?.ok()).collect();
    let failed = CALLS - times.len();
    (times, failed)
}

fn until_empty(up: &Up) -> anyhow::Result<()> {
    let deadline = Instant::now() + EMPTY_MAX;
    while used_mb(up)? > 0 {
        anyhow::ensure!(Instant::now() < deadline, "instances stay for longer than {} s", EMPTY_MAX.as_secs());
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn used_mb(up: &Up) -> anyhow::Result<u64> {
    let quota: serde_json::Value = serde_json::from_str(&up.client_output(&["quota", "--output", "json"])?)?;
    let namespaces = quota["namespaces"].as_array().context("quota tells of namespaces")?;
    Ok(namespaces.iter().filter_map(|namespace| namespace["used_mb"].as_u64()).sum())
}
