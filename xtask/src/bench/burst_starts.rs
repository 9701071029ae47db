//! `bench burst-starts`: thousands of functions of one static image, each called once, by 1, 8 and
//! 16 clients; with `runc run` at the same concurrency as the peer. Reports threads and memory of
//! the platform while the instances run, leftovers afterwards, and the time spent in each phase of
//! a start.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use super::api::Api;
use super::http::Connection;
use super::parallel_start::per_second;
use super::runc::Bundle;
use super::{PROFILE, median, quantile};
use crate::process::{build_example, build_sampan};
use crate::quickstart::Up;

/// Number of functions, and so of starts per round.
const FUNCTIONS: usize = 1_500;
/// Numbers of concurrent clients, one per part.
const CLIENTS: [usize; 3] = [1, 8, 16];
/// Phases of a start that the platform measures.
const PHASES: [&str; 4] = ["queue", "pool", "launch", "listen"];
/// Timeout until the functions are active.
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(600);
/// Timeout until instances have ended after a round.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(120);
/// Time after which no leftovers of ended instances may remain.
const LEFTOVERS_AFTER: Duration = Duration::from_secs(5);

/// Measures, and prints each part.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    let sampan = match std::env::var_os("SAMPAN_BIN") {
        Some(path) => PathBuf::from(path),
        None => build_sampan(root, PROFILE)?,
    };
    let hello = match std::env::var_os("SAMPAN_HELLO") {
        Some(path) => PathBuf::from(path),
        None => build_example(root, "hello")?,
    };
    let work = tempfile::tempdir()?;
    let bundle = Bundle::make(work.path(), &hello)?;
    let data = work.path().join("data");
    let settings = [
        ("SAMPAN_POOL__KEEP_IDLE_S", "20"),
        ("SAMPAN_POOL__KEEP_IDLE_S_MAX", "20"),
        ("SAMPAN_POOL__INSTANCES_MAX", "4000"),
        ("SAMPAN_POOL__MEMORY_MB_MAX", "1000000"),
        ("SAMPAN_POOL__STARTS_PER_MINUTE_MAX", "0"),
        ("SAMPAN_STORE__FUNCTIONS_PER_NAMESPACE_MAX", "4000"),
    ];
    let up = Up::start_with(&sampan, &data, &settings)?;
    let image = bundle.root().display().to_string();
    up.client(&["push", "--from-dir", &image, "--entrypoint", "/hello", "hello:v1"])?;
    create_functions(&up)?;
    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    let before = Process::of(&up)?;
    println!("before any start: {} threads, {:.0} MB resident", before.threads, before.resident_mb);
    let mut starts = 0;
    for clients in CLIENTS {
        let (mut rates, mut middles, mut slowest, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut all: Vec<f64> = Vec::new();
        let mut most_threads = 0;
        let phases_before = Phases::of(&up)?;
        for _ in 0..rounds {
            let processes_before = ids_below(&up)?;
            let mut burst = burst(gateway, clients)?;
            starts += FUNCTIONS;
            rates.push(burst.per_second);
            all.extend(&burst.times_ms);
            middles.push(median(&mut burst.times_ms));
            slowest.push(quantile(&mut burst.times_ms, 0.99));
            most_threads = most_threads.max(Process::of(&up)?.threads);
            until_gone(&up, &processes_before)?;
            theirs.push(per_second(clients, |caller, number| bundle.start(&format!("{caller}-{number}")).map(drop))?);
        }
        let phases = Phases::of(&up)?.since(&phases_before);
        let (ours, runc) = (median(&mut rates), median(&mut theirs));
        let (p50, p99) = (median(&mut middles), median(&mut slowest));
        println!(
            "{clients:2} clients: {ours:6.0} starts/s, runc run {runc:5.0}/s: {:.1}x; p50 {p50:.1} ms, p99 {p99:.1} ms \
             ({:.1}x); {most_threads} threads",
            ours / runc,
            p99 / p50
        );
        println!("           of a start on average: {phases}, first byte {:.1} ms after the call", average(&all));
    }
    println!("goals at 8 clients: >= 600 starts/s, >= 8x runc, p99 <= 5x p50; threads <= 32");
    let after = Process::of(&up)?;
    println!(
        "after {starts} starts: {} threads, {:.0} MB resident, {:+.0} MB (goal <= +30)",
        after.threads,
        after.resident_mb,
        after.resident_mb - before.resident_mb
    );
    print_phases(&data)
}

fn create_functions(up: &Up) -> anyhow::Result<()> {
    let mut api = Api::open(up)?;
    let image = format!("{}/hello:v1", api.host);
    for number in 0..FUNCTIONS {
        let function = json!({
            "FunctionName": format!("burst-{number}"), "Type": "HTTP", "MemorySize": 64,
            "Code": {"ImageConfig": {"ImageType": "personal", "ImageUri": image}},
            "Tags": [{"Key": "sampan:start-check", "Value": "off"}],
        });
        api.call("CreateFunction", &function)?;
    }
    let started = Instant::now();
    let active = json!({"Limit": 1, "Filters": [{"Name": "Status", "Values": ["Active"]}]});
    while api.call("ListFunctions", &active)?.1["TotalCount"] != FUNCTIONS {
        ensure!(started.elapsed() < ACTIVE_TIMEOUT, "functions are still not active");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

struct Burst {
    per_second: f64,
    times_ms: Vec<f64>,
}

/// Calls every function once.
fn burst(gateway: SocketAddr, clients: usize) -> anyhow::Result<Burst> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let client = || -> anyhow::Result<Vec<f64>> {
        let mut connection = Connection::open(gateway, "bench", "/")?;
        let mut times_ms = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= FUNCTIONS {
                return Ok(times_ms);
            }
            let request = format!("GET /fn/default/burst-{number}/ HTTP/1.1\r\nHost: bench\r\n\r\n");
            times_ms.push(connection.send(request.into_bytes())?.0.as_secs_f64() * 1e3);
        }
    };
    let times_ms = std::thread::scope(|scope| -> anyhow::Result<Vec<f64>> {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        Ok(all)
    })?;
    Ok(Burst { per_second: FUNCTIONS as f64 / begun.elapsed().as_secs_f64(), times_ms })
}

/// Waits until every instance has ended, and checks for leftovers.
fn until_gone(up: &Up, before: &BTreeSet<String>) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut ended = None;
    loop {
        let left = ids_below(up)?.difference(before).count();
        if left == 0 {
            break;
        }
        let quota: serde_json::Value = serde_json::from_str(&up.client_output(&["quota", "--output", "json"])?)?;
        let used =
            quota["namespaces"].as_array().into_iter().flatten().filter_map(|n| n["used_mb"].as_u64()).sum::<u64>();
        if used == 0 {
            let since = *ended.get_or_insert_with(Instant::now);
            ensure!(since.elapsed() < LEFTOVERS_AFTER, "{left} processes are left of instances that ended");
        }
        ensure!(started.elapsed() < EMPTY_TIMEOUT, "instances stay for longer than {} s", EMPTY_TIMEOUT.as_secs());
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Process ids of the platform's children.
fn ids_below(up: &Up) -> anyhow::Result<BTreeSet<String>> {
    let mut children = BTreeSet::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", up.pid()))?.flatten() {
        let listed = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(listed.split_whitespace().map(str::to_owned));
    }
    Ok(children)
}

struct Process {
    threads: usize,
    resident_mb: f64,
}

impl Process {
    fn of(up: &Up) -> anyhow::Result<Self> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", up.pid()))?.count();
        Ok(Self { threads, resident_mb: up.resident_kib()? / 1024.0 })
    }
}

fn average(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len().max(1) as f64
}

/// Phases of all starts so far, from the platform's metrics: number of starts, and seconds in
/// total.
struct Phases(Vec<(&'static str, f64, f64)>);

impl Phases {
    fn of(up: &Up) -> anyhow::Result<Self> {
        let text = Api::open(up)?.metrics()?;
        let value = |phase: &str, part: &str| {
            let name = format!("sampan_start_phase_seconds_{part}{{phase=\"{phase}\"}}");
            let value = text.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok());
            value.unwrap_or_default()
        };
        Ok(Self(PHASES.map(|phase| (phase, value(phase, "count"), value(phase, "sum"))).to_vec()))
    }

    fn since(self, before: &Self) -> Self {
        let parts = self.0.into_iter().zip(&before.0);
        Self(parts.map(|((phase, count, sum), was)| (phase, count - was.1, sum - was.2)).collect())
    }
}

impl std::fmt::Display for Phases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (phase, count, sum)) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { ", " };
            write!(f, "{between}{phase} {:.1} ms", sum / count.max(1.0) * 1e3)?;
        }
        Ok(())
    }
}

/// Prints the launch and listen times in the platform's own reports of the starts.
fn print_phases(data: &Path) -> anyhow::Result<()> {
    let (mut launch, mut listen, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for file in files_below(&data.join("logs"))? {
        // Segments that were compressed in the meantime are skipped.
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for report in text.lines().filter(|line| line.contains("Init Report")) {
            let ms = |label: &str| -> Option<f64> {
                let after = report.split(label).nth(1)?;
                after.trim_start().split("ms").next()?.trim().parse().ok()
            };
            launch.extend(ms("InitRuntime:"));
            listen.extend(ms("InitFunction:"));
            all.extend(ms("Coldstart:"));
        }
    }
    for (phase, mut times) in [("launch", launch), ("listen", listen), ("whole start", all)] {
        let count = times.len();
        println!(
            "{phase:12} p50 {:6.1} ms, p99 {:6.1} ms in {count} reports",
            median(&mut times),
            quantile(&mut times, 0.99)
        );
    }
    Ok(())
}

fn files_below(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)?.flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    Ok(files)
}
