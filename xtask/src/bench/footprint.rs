//! `bench footprint`: the platform's own memory, idle and with many idle instances, and the latency
//! of warm calls, calls that thaw an instance, and starts as their number grows.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::http::Connection;
use super::{binaries, median, quantile};

use crate::quickstart::Up;

/// Numbers of instances at which to measure.
const STEPS: [usize; 6] = [10, 100, 250, 500, 750, 1000];
/// Time for which a call occupies its instance, so that concurrent calls need others; longer than a
/// round of starts.
const HOLD_MS: usize = 8000;
/// Number of warm calls at each step.
const CALLS: usize = 300;
/// Number of cold starts at each step, each of another function.
const STARTS: usize = 10;
/// Number of calls to a frozen instance at each step; before each one a pause of twice the time
/// until the instance is frozen.
const THAWS: usize = 20;
const FROZEN_AFTER: Duration = Duration::from_millis(600);
/// Pause before each start.
const IDLE: Duration = Duration::from_millis(100);
/// Longest bar of a plot, in characters.
const BAR_LEN_MAX: f64 = 60.0;
/// Pause in which background work finishes.
const REST: Duration = Duration::from_secs(2);

/// Measures once; another round would start the same instances again.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello"))?;
    let most = STEPS[STEPS.len() - 1];
    let most = most + STEPS.len() * STARTS + 1;
    let (instances, memory) = (most.to_string(), (most * 128 * 2).to_string());
    let settings = [
        ("SAMPAN_POOL__KEEP_IDLE_S", "3600"),
        ("SAMPAN_POOL__INSTANCES_MAX", &instances),
        ("SAMPAN_POOL__INSTANCES_PER_FUNCTION_MAX", &instances),
        ("SAMPAN_POOL__WAITING_PER_FUNCTION_MAX", &instances),
        ("SAMPAN_POOL__MEMORY_MB_MAX", &memory),
        ("SAMPAN_POOL__STARTS_PER_MINUTE_MAX", "0"),
        ("SAMPAN_POOL__FREEZE_AFTER_MS", "200"),
        ("SAMPAN_POOL__REAP_INTERVAL_MS", "100"),
    ];
    let up = Up::start_with(&sampan, &work.path().join("data"), &settings)?;
    let image = image.display().to_string();
    up.client(&["push", "--from-dir", &image, "--entrypoint", "/hello", "hello:v1"])?;
    up.quiet_client(&[
        "deploy",
        "many",
        "--image",
        "hello:v1",
        "--memory",
        "64",
        "--timeout",
        "60",
        "--no-start-check",
    ])?;
    up.quiet_client(&["deploy", "one", "--image", "hello:v1", "--memory", "64"])?;
    for number in 0..STEPS.len() * STARTS {
        up.quiet_client(&[
            "deploy",
            &format!("new-{number}"),
            "--image",
            "hello:v1",
            "--memory",
            "64",
            "--no-start-check",
        ])?;
    }
    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    std::thread::sleep(REST);
    let idle_kib = up.resident_kib()?;
    println!("idle platform: {:.1} MiB resident (goal <= 60)", idle_kib / 1024.0);
    let mut points = Vec::new();
    println!("instances  resident MiB  KiB for each  warm p50 us  p99 us  thawed p50 us  start p50 ms");
    for (number, step) in STEPS.into_iter().enumerate() {
        start(gateway, step)?;
        std::thread::sleep(REST);
        let kib = up.resident_kib()?;
        let (mut warm, mut thawed) = (calls(gateway, CALLS, Duration::ZERO)?, calls(gateway, THAWS, FROZEN_AFTER)?);
        let mut starts = first_calls(gateway, number * STARTS)?;
        let point = Point { step, warm_us: median(&mut warm), start_us: median(&mut starts) };
        println!(
            "{step:>9} {:>13.1} {:>13.1} {:>12.0} {:>7.0} {:>14.0} {:>13.2}",
            kib / 1024.0,
            (kib - idle_kib) / step as f64,
            point.warm_us,
            quantile(&mut warm, 0.99),
            median(&mut thawed),
            point.start_us / 1e3
        );
        points.push(point);
    }
    plot("start p50", &points, |point| point.start_us);
    plot("warm p50", &points, |point| point.warm_us);
    println!(
        "goal: <= 300 KiB for each idle instance, thawed <= 2000 us, and times that do not grow with the instances"
    );
    Ok(())
}

/// Medians at one number of instances, in microseconds.
struct Point {
    step: usize,
    warm_us: f64,
    start_us: f64,
}

/// Plots a median over the numbers of instances.
fn plot(name: &str, points: &[Point], value: impl Fn(&Point) -> f64) {
    let most = points.iter().map(&value).fold(0.0, f64::max);
    println!("{name}, the longest bar {most:.0} us:");
    for point in points {
        println!("{:>9} {}", point.step, bar(value(point), most));
    }
}

fn bar(value: f64, most: f64) -> String {
    "#".repeat((value / most.max(f64::MIN_POSITIVE) * BAR_LEN_MAX).round() as usize)
}

/// Makes as many concurrent calls as instances are needed.
fn start(gateway: SocketAddr, instances: usize) -> anyhow::Result<()> {
    let calls: Vec<_> = (0..instances)
        .map(|_| {
            let call = move || Connection::open(gateway, "bench", &format!("/fn/default/many/sleep?{HOLD_MS}"))?.call();
            // Small stacks, because there is a thread per caller.
            std::thread::Builder::new().stack_size(64 << 10).spawn(call)
        })
        .collect::<Result<_, _>>()?;
    for call in calls {
        call.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??;
    }
    Ok(())
}

/// Latencies of calls to one function over one connection with a pause before each, in
/// microseconds.
fn calls(gateway: SocketAddr, number: usize, quiet: Duration) -> anyhow::Result<Vec<f64>> {
    let mut connection = Connection::open(gateway, "bench", "/fn/default/one/")?;
    connection.call()?;
    let call = |_| {
        std::thread::sleep(quiet);
        Ok(connection.call()?.as_secs_f64() * 1e6)
    };
    (0..number).map(call).collect()
}

/// Latencies of first calls of functions from number `from` on, in microseconds.
fn first_calls(gateway: SocketAddr, from: usize) -> anyhow::Result<Vec<f64>> {
    let call = |number: usize| {
        std::thread::sleep(IDLE);
        let mut connection = Connection::open(gateway, "bench", &format!("/fn/default/new-{number}/"))?;
        Ok(connection.call()?.as_secs_f64() * 1e6)
    };
    (from..from + STARTS).map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        assert_eq!(bar(5.0, 10.0).len(), 30);
        assert_eq!(bar(10.0, 10.0).len(), 60);
        assert_eq!(bar(0.0, 0.0), "");
    }
}
