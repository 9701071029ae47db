//! Kills a process with a queue at random moments and checks that every acknowledged event has run,
//! that only events that were claimed and not committed as finished ran twice, and that the final
//! states are correct.
//!
//! The process is this test again ([`process`]); it records runs and acknowledgements in files,
//! whose bytes survive a kill. `SAMPAN_STORM_KILLS` is the number of kills, `SAMPAN_STORM_MINUTES`
//! the longest time for them.
#![allow(clippy::unwrap_used)]

mod books;
mod process;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::books::Books;
use crate::process::{FOLDER, MODE};

/// Number of kills in a run of all tests.
const KILLS: u32 = 12;
/// Longest time for all kills.
const MINUTES: u32 = 120;
/// Longest wait for progress of a process.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Bytes of acknowledgements after which a process is under load: about thirty.
const LOADED_BYTES: u64 = 1500;
/// Longest pause before a kill once it may happen.
const PAUSE_MS: f64 = 200.0;

#[test]
fn what_was_acknowledged_before_kills_has_run_and_twice_only_what_was_claimed() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u32>().unwrap());
    let kills = number("SAMPAN_STORM_KILLS", KILLS);
    let time_max = Duration::from_secs(60 * u64::from(number("SAMPAN_STORM_MINUTES", MINUTES)));
    let started = Instant::now();
    let folder = TempDir::new().unwrap();
    let mut claimed: HashMap<String, usize> = HashMap::new();
    for kill in 0..kills {
        assert!(started.elapsed() < time_max, "{kill} of {kills} kills in {} s", time_max.as_secs());
        let mut process = start(folder.path(), "load");
        let acknowledged = || std::fs::metadata(folder.path().join("acknowledged")).map_or(0, |file| file.len());
        let before = acknowledged();
        // Two in three happen under load, the others at any moment of a start.
        if kill % 3 != 0 {
            until("it is under load", || acknowledged() >= before + LOADED_BYTES);
        }
        std::thread::sleep(pause(kill));
        process.kill().unwrap();
        process.wait().unwrap();
        for id in books::claimed(folder.path()) {
            *claimed.entry(id).or_default() += 1;
        }
    }
    let mut last = start(folder.path(), "drain");
    until("all events have run", || last.try_wait().unwrap().is_some());
    assert!(last.wait().unwrap().success());
    Books::read(folder.path()).check(folder.path(), &claimed);
}

fn start(folder: &Path, mode: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["process::a_process_with_a_queue", "--exact", "--nocapture"]);
    command.env(FOLDER, folder).env(MODE, mode).stdout(Stdio::null()).spawn().unwrap()
}

fn until(what: &str, condition: impl FnMut() -> bool) {
    let mut condition = condition;
    let deadline = Instant::now() + WAIT_MAX;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Pauses that cover the range evenly, the same in each storm: multiples of the golden ratio.
fn pause(kill: u32) -> Duration {
    let fraction = f64::from(kill) * 0.618_033_988_749_895;
    Duration::from_micros((fraction.fract() * PAUSE_MS * 1000.0) as u64)
}
