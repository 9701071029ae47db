//! `event_storm KILLS MINUTES`: kills a platform while it accepts and runs asynchronous calls, and
//! reports lost events; run by `cargo xtask storm events`.

use std::time::Duration;

use anyhow::bail;

/// Kills between progress lines.
const SAY_EVERY: u32 = 25;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>());
    let (Some(kills), Some(minutes)) = (args.next().transpose()?, args.next().transpose()?) else {
        bail!("event_storm KILLS MINUTES");
    };
    let time_max = Duration::from_secs(u64::from(minutes) * 60);
    let found = e2e::event_storm::run(kills, time_max, |kills, acknowledged| {
        if kills.is_multiple_of(SAY_EVERY) {
            println!("{kills} kills, {acknowledged} events acknowledged");
        }
    });
    let found = found.await?;
    println!("{} kills, {} events acknowledged, none lost; {} ran again", found.kills, found.acknowledged, found.again);
    if found.kills < kills {
        bail!("{minutes} minutes were too short for {kills} kills");
    }
    Ok(())
}
