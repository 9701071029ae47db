//! `event_storm KILLS`: kills a platform while it accepts and runs asynchronous calls, and reports
//! what was lost; run by `cargo xtask storm events`.

use anyhow::Context;

/// Kills between progress lines.
const SAY_EVERY: u32 = 25;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let kills = std::env::args().nth(1).context("event_storm KILLS")?.parse()?;
    let found = e2e::event_storm::run(kills, |kills, acknowledged| {
        if kills.is_multiple_of(SAY_EVERY) {
            println!("{kills} kills, {acknowledged} events acknowledged");
        }
    });
    let found = found.await?;
    println!("{kills} kills, {} events acknowledged, none lost; {} ran again", found.acknowledged, found.again);
    Ok(())
}
