//! Kills the platform under load: deploys, publishes, pushes, events and calls run until `kill -9`;
//! after the restart every acknowledged change must exist, and no partial state.

mod acknowledged;
mod check;
mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::{Platform, disk, kernel, leftovers};
use acknowledged::Acknowledged;

/// Duration of the load before a kill, in milliseconds; varied so that kills interrupt different
/// operations.
const LOAD_MS: std::ops::Range<u64> = 20..900;
/// Number of kills between verifications of all blobs.
const SCRUB_EVERY: u32 = 50;

/// Parameters of a storm.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    /// Number of kills.
    pub kills: u32,
    /// Time after which no kill begins.
    pub time_max: Duration,
}

/// Results of a storm.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// Kills followed by a successful start.
    pub kills: u32,
    /// Acknowledged changes.
    pub acknowledged: u64,
    /// Successful calls.
    pub answered: u64,
    /// Acknowledged changes that were lost.
    pub lost: Vec<String>,
    /// Partial state, and leftovers of a killed platform.
    pub half_made: Vec<String>,
    /// Unexpected answers.
    pub wrong: Vec<String>,
}

impl Found {
    /// Whether no change was lost and no partial state or unexpected answer was found.
    pub fn is_well(&self) -> bool {
        self.lost.is_empty() && self.half_made.is_empty() && self.wrong.is_empty()
    }
}

/// Runs a storm on a new platform.
///
/// # Errors
/// When the platform does not start, or a tool of the tests fails.
pub async fn run(storm: Storm, mut after_kill: impl FnMut(&Found)) -> anyhow::Result<Found> {
    let started = Instant::now();
    // The storm publishes this many versions, so the limit is raised.
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

/// Returns a load duration; the durations are evenly distributed over the range, and alike in each
/// storm.
fn pause_ms(kill: u32) -> u64 {
    // Multiples of the golden ratio cover the range evenly.
    let fraction = f64::from(kill) * 0.618_033_988_749_895;
    LOAD_MS.start + ((fraction - fraction.floor()) * (LOAD_MS.end - LOAD_MS.start) as f64) as u64
}
