//! `bench mounts`: time that volumes and a `/tmp` on disk add to a first call, for functions with
//! no, one and eight directories, eight file systems in memory, and a disk; started alternately,
//! 100 ms idle between starts.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::http::Connection;
use super::{binaries, median, quantile};
use crate::quickstart::Up;

/// Number of starts of each kind per round.
const STARTS: usize = 60;
/// Number of mounts of a function with many.
const MANY: usize = 8;
/// Pause before each start: cold starts usually happen on an idle machine.
const IDLE: Duration = Duration::from_millis(100);
/// Goal for each bind mount or file system in memory, in milliseconds.
const GOAL_MS: f64 = 0.05;

/// Functions with the same mounts.
struct Kind {
    name: &'static str,
    flags: Vec<String>,
    mounts: usize,
    times: Vec<f64>,
}

impl Kind {
    fn of_volumes(name: &'static str, volume: &str, mounts: usize) -> Self {
        let flags = (0..mounts).flat_map(|number| ["--mount".to_owned(), format!("{volume}-{number}:/mnt/{number}")]);
        Self { name, flags: flags.collect(), mounts, times: Vec::new() }
    }
}

/// Measures the kinds alternately, and prints medians and the cost of one mount.
pub fn run(root: &Path, rounds: usize) -> anyhow::Result<()> {
    let (sampan, hello) = binaries(root)?;
    let work = tempfile::tempdir()?;
    let image = work.path().join("image");
    std::fs::create_dir(&image)?;
    std::fs::copy(&hello, image.join("hello")).context("cannot copy the example")?;
    let settings = [("SAMPAN_POOL__STARTS_PER_MINUTE_MAX", "0"), ("SAMPAN_POOL__MEMORY_MB_MAX", "1000000")];
    let up = Up::start_with(&sampan, &work.path().join("data"), &settings)?;
    up.client(&["push", "--from-dir", &image.display().to_string(), "--entrypoint", "/hello", "hello:v1"])?;
    for number in 0..MANY {
        up.quiet_client(&["volume", "create", &format!("dir-{number}")])?;
        up.quiet_client(&["volume", "create", &format!("memory-{number}"), "--kind", "tmpfs", "--size", "16m"])?;
    }
    let mut kinds = [
        Kind::of_volumes("no mount", "dir", 0),
        Kind::of_volumes("1 directory", "dir", 1),
        Kind::of_volumes("8 directories", "dir", MANY),
        Kind::of_volumes("8 in memory", "memory", MANY),
        Kind { name: "/tmp on disk", flags: vec!["--tmp".to_owned(), "512m".to_owned()], mounts: 1, times: Vec::new() },
    ];
    let gateway: SocketAddr = up.gateway.trim_start_matches("http://").parse().context("the gateway's address")?;
    for number in 0..rounds * STARTS {
        for turn in 0..kinds.len() {
            // The first kind rotates, because each start affects the next one.
            let index = (number + turn) % kinds.len();
            let kind = &mut kinds[index];
            let function = format!("mounts-{index}-{number}");
            let flags: Vec<&str> = kind.flags.iter().map(String::as_str).collect();
            up.quiet_client(&[&["deploy", &function, "--image", "hello:v1", "--no-start-check"], &flags[..]].concat())?;
            std::thread::sleep(IDLE);
            let started = Instant::now();
            Connection::open(gateway, "bench", &format!("/fn/default/{function}/"))?.call()?;
            kind.times.push(started.elapsed().as_secs_f64() * 1e3);
            up.quiet_client(&["delete", &function])?;
        }
    }
    print(&mut kinds);
    Ok(())
}

fn print(kinds: &mut [Kind]) {
    let none = median(&mut kinds[0].times);
    for Kind { name, mounts, times, .. } in kinds {
        let (half, most) = (median(times), quantile(times, 0.99));
        let each = (half - none) / (*mounts).max(1) as f64;
        println!(
            "{name:14} p50 {half:7.2} ms  p99 {most:7.2} ms  {each:+.3} ms a mount (goal <= {GOAL_MS} of a volume)"
        );
    }
}
