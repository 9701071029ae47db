//! The lower bound of acceptance: a loop that appends an event to a file and syncs it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::EVENT_BYTES;

/// Returns durations of single syncs in milliseconds, half of them before and half after
/// `measured`, because concurrent syncs would disturb each other.
pub fn beside<T>(
    folder: &Path,
    time: Duration,
    measured: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Vec<f64>)> {
    let mut times = syncs(folder, time / 2)?;
    let measured = measured()?;
    times.extend(syncs(folder, time / 2)?);
    Ok((measured, times))
}

fn syncs(folder: &Path, time: Duration) -> anyhow::Result<Vec<f64>> {
    let path = folder.join("floor");
    let mut file = OpenOptions::new().create(true).append(true).open(&path).context("cannot make a file")?;
    let (event, started, mut times) = ([b'x'; EVENT_BYTES], Instant::now(), Vec::new());
    while started.elapsed() < time {
        let begun = Instant::now();
        file.write_all(&event)?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(path)?;
    Ok(times)
}
