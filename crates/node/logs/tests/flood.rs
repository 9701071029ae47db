//! Functions that print as fast as they can.
// A test stops at the first thing that is not as it should be; not every test file uses all that is
// shared.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use logs::{Config, Filter};
use support::{Instance, function, open};
use types::Namespace;

/// Writes short lines until it is stopped, and counts the bytes.
struct Flood {
    written: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn into(mut pipe: File) -> Self {
        let (written, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (counted, stopped) = (written.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let lines = b"y\n".repeat(2_048);
            // Fails when the reader has closed the pipe.
            while !stopped.load(Ordering::Relaxed) && pipe.write_all(&lines).is_ok() {
                counted.fetch_add(lines.len() as u64, Ordering::Relaxed);
            }
        });
        Self { written, stop, thread }
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_read_at_a_multiple_of_its_rate_and_no_faster() {
    const LINES_PER_S: u32 = 1_000;
    const FACTOR: u32 = 5;
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        instance_lines_per_s: LINES_PER_S,
        instance_lines_burst: LINES_PER_S,
        instance_read_factor: FACTOR,
        ..Config::default()
    };
    let logs = open(dir.path(), config).await;
    let instance = Instance::attach(&logs, &function("flood"));
    let started = Instant::now();
    let flood = Flood::into(instance.stdout.try_clone().unwrap());
    // Until some pauses have passed; two bytes a line.
    let line_bytes = 2;
    while flood.written() < u64::from(LINES_PER_S * FACTOR * line_bytes) * 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(started.elapsed() < Duration::from_secs(60), "it is read at all: {}", flood.written());
    }
    let (written, seconds) = (flood.written(), started.elapsed().as_secs_f64());
    let read_max = f64::from(line_bytes) * (f64::from(LINES_PER_S) + f64::from(LINES_PER_S * FACTOR) * seconds);
    // Content of the pipe, and of one read.
    let unread = f64::from((64_u32 << 10) + (16 << 10) + 4_096);
    assert!((written as f64) < read_max + unread, "{written} bytes in {seconds} s");
    flood.stop.store(true, Ordering::Relaxed);
    logs.detach(&instance.id);
    drop(instance);
    let (logs_end, _) = tokio::join!(logs.shutdown(), tokio::task::spawn_blocking(move || flood.thread.join()));
    let () = logs_end;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_drops_no_line_of_another_function() {
    const LINES: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    // Only the queue limits the flood.
    let config = Config {
        instance_lines_per_s: u32::MAX,
        instance_lines_burst: u32::MAX,
        instance_bytes_per_s: u32::MAX,
        instance_bytes_burst: u32::MAX,
        queue_bytes_max: 1 << 20,
        function_queue_bytes_max: 256 << 10,
        disk_bytes_max: 64 << 20,
        ..Config::default()
    };
    let logs = open(dir.path(), config).await;
    let loud: Vec<_> = (0..3).map(|_| Instance::attach(&logs, &function("flood"))).collect();
    let floods: Vec<_> = loud.iter().map(|instance| Flood::into(instance.stdout.try_clone().unwrap())).collect();
    let mut quiet = Instance::attach(&logs, &function("quiet"));
    for number in 0..LINES {
        quiet.print(&format!("line {number}\n"));
        logs.settle(&quiet.id);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let filter = Filter { function: Some("quiet".parse().unwrap()), ..Filter::all(Namespace::default_namespace()) };
    let page = logs.newest_lines(filter, 10_000).await.unwrap();
    let wanted: Vec<_> = (0..LINES).map(|number| format!("line {number}")).collect();
    assert_eq!(page.lines.into_iter().map(|line| line.text).collect::<Vec<_>>(), wanted);
    for (flood, instance) in floods.into_iter().zip(&loud) {
        flood.stop.store(true, Ordering::Relaxed);
        logs.detach(&instance.id);
        drop(flood.thread);
    }
    drop(loud);
    logs.shutdown().await;
}
