//! Kills of the platform under load: deploys, publishes, pushes, events and calls run until `kill -9` cuts them off; after
//! the next start everything that was acknowledged must be there, and nothing half-made.

mod acknowledged;
mod check;
mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::{Platform, disk, kernel, leftovers};
use acknowledged::Acknowledged;

/// How long the load runs before a kill, in milliseconds: kills fall into different moments.
const LOAD_MS: std::ops::Range<u64> = 20..900;
/// Whole blobs are read again after so many kills.
const SCRUB_EVERY: u32 = 50;

/// What a storm is to do.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    /// How many kills.
    pub kills: u32,
    /// No kill begins after this.
    pub time_max: Duration,
}

/// What it found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// Kills that were followed by a start.
    pub kills: u32,
    /// Changes that the platform acknowledged.
    pub acknowledged: u64,
    /// Calls that were answered well.
    pub answered: u64,
    /// What was acknowledged and is not there.
    pub lost: Vec<String>,
    /// What is there by halves, or outlived its platform.
    pub half_made: Vec<String>,
    /// Answers that nothing explains.
    pub wrong: Vec<String>,
}

impl Found {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.lost.is_empty() && self.half_made.is_empty() && self.wrong.is_empty()
    }
}

/// Runs a storm on a platform of its own.
///
/// # Errors
/// When the platform does not start, or the tests' own tools fail.
pub async fn run(storm: Storm, mut after_kill: impl FnMut(&Found)) -> anyhow::Result<Found> {
    let started = Instant::now();
    // Versions that are published again and again, and restarts in a row, are the storm's own doing.
    let env = [("SAMPAN_STORE__VERSIONS_PER_FUNCTION_MAX", "100000")];
    let mut platform = Platform::start_with(&env).await?;
    let (mut found, known) = (Found::default(), Arc::new(Acknowledged::default()));
    load::prepare(&platform, &known).await?;
    while found.kills < storm.kills && started.elapsed() < storm.time_max {
        let loads = load::start(&platform, &known);
        tokio::time::sleep(Duration::from_millis(pause_ms(found.kills))).await;
        let cgroup = platform.cgroup_name();
        let killed = Instant::now();
        platform.kill().await?;
        loads.stopped().await;
        let before = leftovers::processes(&cgroup);
        platform = platform.restart().await.with_context(|| format!("after kill {}", found.kills + 1))?;
        let outlived = before.into_iter().filter(|pid| kernel::runs(*pid));
        found.half_made.extend(outlived.map(|pid| format!("process {pid} outlived kill {}", found.kills + 1)));
        check::after_start(&platform, &known, killed, &mut found).await?;
        found.kills += 1;
        if found.kills.is_multiple_of(SCRUB_EVERY) {
            check::content(&platform, &mut found).await?;
        }
        (found.acknowledged, found.answered) = known.counts();
        found.wrong.extend(known.take_wrong());
        after_kill(&found);
        if !found.is_well() {
            break;
        }
    }
    check::content(&platform, &mut found).await?;
    disk::no_drafts(&platform).await?;
    platform.stop().await?;
    Ok(found)
}

/// Spread over the range, the same in each storm.
fn pause_ms(kill: u32) -> u64 {
    // The golden ratio's steps leave no part of the range out for long.
    let fraction = f64::from(kill) * 0.618_033_988_749_895;
    LOAD_MS.start + ((fraction - fraction.floor()) * (LOAD_MS.end - LOAD_MS.start) as f64) as u64
}
