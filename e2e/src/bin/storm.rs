//! `storm KILLS MINUTES`: kills a platform under load and reports lost changes; run by `cargo xtask
//! storm`.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use e2e::kill_storm::{Found, Storm, run};

/// Kills between progress lines.
const SAY_EVERY: u32 = 25;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>());
    let (Some(kills), Some(minutes)) = (args.next().transpose()?, args.next().transpose()?) else {
        bail!("storm KILLS MINUTES");
    };
    let time_max = Duration::from_secs(u64::from(minutes) * 60);
    let started = Instant::now();
    let say = |found: &Found| {
        let (lost, half) = (found.lost.len(), found.half_made.len());
        println!(
            "{} kills, {} changes acknowledged, {} calls answered: {lost} lost, {half} half-made, {} wrong answers ({} s)",
            found.kills,
            found.acknowledged,
            found.answered,
            found.wrong.len(),
            started.elapsed().as_secs()
        );
    };
    let found = run(Storm { kills, time_max }, |found| {
        if found.kills.is_multiple_of(SAY_EVERY) {
            say(found);
        }
    });
    let found = found.await.context("the storm could not go on")?;
    say(&found);
    for (what, all) in [("lost", &found.lost), ("half-made", &found.half_made), ("wrong", &found.wrong)] {
        all.iter().for_each(|one| println!("{what}: {one}"));
    }
    if !found.is_well() {
        bail!("something was lost, half-made or wrong");
    }
    if found.kills < kills {
        bail!("{minutes} minutes were too short for {kills} kills");
    }
    Ok(())
}
