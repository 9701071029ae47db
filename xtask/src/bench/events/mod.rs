//! `bench events`: acceptance and runs of asynchronous calls, with a bare loop of fdatasync and
//! RabbitMQ with persistent messages and confirms as peers; also with a million waiting events and
//! with none.

mod clients;
mod floor;
mod messages;
mod rabbitmq;
mod waiting;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use self::clients::{Target, closed, open};
use super::http::Connection;
use super::{Extent, binaries, median, quantile};
use crate::quickstart::Up;

/// Measured parts: acceptance and runs in rounds, and acceptance with many waiting events.
pub const PARTS: [&str; 2] = ["acceptance", "waiting"];
/// Duration of one measurement; a tenth of it with `--small`.
const MEASURE: Duration = Duration::from_secs(5);
/// Number of concurrent clients.
const CLIENTS: usize = 64;
/// Rate of the calls whose latencies are measured, per second.
const PER_SECOND: usize = 1_000;
/// Number of events that are run to their end.
const RUN: usize = 20_000;
/// Number of waiting events.
const WAITING: usize = 1_000_000;
/// Bytes of an event, and of a message of RabbitMQ.
const EVENT_BYTES: usize = 512;
/// Longest time until all events have run.
const RUN_MAX: Duration = Duration::from_secs(600);
/// Limits above the number of waiting events; one run at a time, so that acceptance is measured
/// alone.
const ACCEPTING: [(&str, &str); 4] = [
    ("SAMPAN_EVENTS__RUNS_MAX", "1"),
    ("SAMPAN_EVENTS__FUNCTION_ROWS_MAX", "4000000"),
    ("SAMPAN_GATEWAY__ASYNC__FUNCTION_REQUESTS_PER_S_MAX", "1000000"),
    ("SAMPAN_GATEWAY__ASYNC__REQUESTS_PER_S_MAX", "1000000"),
];

/// The event of all measurements.
fn event() -> String {
    let frame = r#"{"data":""}"#.len();
    format!(r#"{{"data":"{}"}}"#, "x".repeat(EVENT_BYTES - frame))
}

/// Figures of all rounds.
#[derive(Default)]
struct Figures {
    by_async: Vec<f64>,
    by_invoke: Vec<f64>,
    p99_ms: Vec<f64>,
    sync_p99_ms: Vec<f64>,
    syncs: Vec<f64>,
    peer: Vec<f64>,
    runs: Vec<f64>,
}

/// Measures everything and prints ratios.
pub fn run(root: &Path, extent: &Extent) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let (image, data) = (work.path().join("image"), work.path().join("data"));
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello")).with_context(|| format!("cannot copy {}", hello.display()))?;
    let up = Up::start(&sampan, &data)?;
    up.client(&["push", "--from-dir", &image.display().to_string(), "--entrypoint", "/hello", "hello:v1"])?;
    let deploy = ["deploy", "event", "--image", "hello:v1", "--type", "event", "--memory", "64", "--timeout", "30"];
    up.quiet_client(&deploy)?;
    drop(up);
    if extent.has("acceptance") {
        let (mut figures, rounds) = (Figures::default(), extent.rounds.max(1));
        let peer = rabbitmq::Server::start(work.path())?;
        if peer.is_none() {
            eprintln!("without RabbitMQ: `apt-get install rabbitmq-server` first, to compare with it");
        }
        for round in 1..=rounds {
            figures.round(&sampan, &data, work.path(), peer.as_ref(), extent)?;
            eprintln!("round {round} of {rounds} done");
        }
        figures.print(peer.is_some());
    }
    if extent.has("waiting") { waiting(&sampan, &data, extent) } else { Ok(()) }
}

fn measure_time(extent: &Extent) -> Duration {
    if extent.small { MEASURE / 10 } else { MEASURE }
}

impl Figures {
    fn round(
        &mut self,
        sampan: &Path,
        data: &Path,
        work: &Path,
        peer: Option<&rabbitmq::Server>,
        extent: &Extent,
    ) -> anyhow::Result<()> {
        let time = measure_time(extent);
        let up = Up::start_with(sampan, data, &ACCEPTING)?;
        let target = Target::of(&up)?;
        self.by_async.push(closed(&target.delayed()?, CLIENTS, time)?);
        let calls = target.delayed()?;
        let (mut times_ms, mut syncs_ms) = floor::beside(work, time, || open(&calls, CLIENTS, PER_SECOND, time))?;
        self.p99_ms.push(quantile(&mut times_ms, 0.99));
        self.syncs.push(syncs_ms.len() as f64 / time.as_secs_f64());
        self.sync_p99_ms.push(quantile(&mut syncs_ms, 0.99));
        // Last, because its events are due at once, and run during the measurement.
        self.by_invoke.push(closed(&target.invoke()?, CLIENTS, time)?);
        drop(up);
        waiting::clear(data)?;
        if let Some(peer) = peer {
            self.peer.push(peer.measure(CLIENTS, time, event().as_bytes())?);
        }
        self.runs.push(to_the_end(sampan, data, extent.of(RUN))?);
        Ok(())
    }

    fn print(&mut self, has_peer: bool) {
        let (by_async, by_invoke) = (median(&mut self.by_async), median(&mut self.by_invoke));
        println!("accepted by /async/, {CLIENTS} clients, {EVENT_BYTES} bytes: {by_async:.0} /s (goal >= 5000)");
        println!("accepted by signed Invoke, {CLIENTS} clients: {by_invoke:.0} /s (goal >= 2000)");
        let (p99, sync) = (median(&mut self.p99_ms), median(&mut self.sync_p99_ms));
        let syncs = median(&mut self.syncs);
        println!(
            "p99 of acceptance at {PER_SECOND} /s: {p99:.2} ms; of a bare fdatasync loop {sync:.2} ms ({syncs:.0} /s): \
             {:.2}x (goal <= 5)",
            p99 / sync
        );
        if has_peer {
            let peer = median(&mut self.peer);
            println!(
                "RabbitMQ, persistent with confirms, one unconfirmed message a connection: {peer:.0} /s; /async/ has \
                 {:.2}x (goal >= 1)",
                by_async / peer
            );
        } else {
            println!("RabbitMQ was not run: rabbitmq-server is not installed (apt-get install rabbitmq-server)");
        }
        let runs = median(&mut self.runs);
        println!("accepted and run to the end by a static event function: {runs:.0} /s (goal >= 2000)");
    }
}

/// Events per second from the first acceptance to the last end.
fn to_the_end(sampan: &Path, data: &Path, run: usize) -> anyhow::Result<f64> {
    let up = Up::start_with(sampan, data, &ACCEPTING[1..])?;
    let target = Target::of(&up)?;
    let started = Instant::now();
    clients::count(&target.now()?, CLIENTS, run)?;
    let control = target.control;
    let mut metrics = Connection::open(control, &control.to_string(), "/metrics")?;
    loop {
        let ended = ended(&mut metrics)?;
        if ended >= run as f64 {
            return Ok(ended / started.elapsed().as_secs_f64());
        }
        anyhow::ensure!(started.elapsed() < RUN_MAX, "{ended} of {run} events ended in {} s", RUN_MAX.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Successful runs since the start, from the platform's metrics.
fn ended(metrics: &mut Connection) -> anyhow::Result<f64> {
    let request = b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n".to_vec();
    let (_, text) = metrics.send(request)?;
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find_map(|line| line.strip_prefix("sampan_events_runs_total{status=\"200\"} "));
    line.map_or(Ok(0.0), |value| value.trim().parse().context("a metric is a number"))
}

/// Measures acceptance, memory and start of a platform with a million waiting events, and of one
/// with none.
fn waiting(sampan: &Path, data: &Path, extent: &Extent) -> anyhow::Result<()> {
    let many_wait = extent.of(WAITING);
    let mut measured = Vec::new();
    for events in [0, many_wait] {
        waiting::clear(data)?;
        let up = Up::start_with(sampan, data, &ACCEPTING)?;
        clients::count(&Target::of(&up)?.delayed()?, 1, 1)?;
        drop(up);
        waiting::multiply(data, events)?;
        let started = Instant::now();
        let up = Up::start_with(sampan, data, &ACCEPTING)?;
        let start_s = started.elapsed().as_secs_f64();
        let idle_mib = up.resident_kib()? / 1024.0;
        let rate = closed(&Target::of(&up)?.delayed()?, CLIENTS, measure_time(extent))?;
        println!(
            "{events} events wait: the platform starts in {start_s:.2} s, has {idle_mib:.1} MiB, accepts {rate:.0} /s"
        );
        measured.push((start_s, idle_mib, rate));
    }
    let [none, many] = measured[..] else { return Ok(()) };
    println!(
        "with {many_wait} waiting: acceptance {:.2}x (goal >= 0.8), memory {:+.1} MiB (goal <= 64), start {:.2} s \
         (goal <= 2)",
        many.2 / none.2,
        many.1 - none.1,
        many.0
    );
    Ok(())
}
