//! `cargo xtask storm`: kills the platform under load many times; fails when an acknowledged change
//! or event is lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;

use crate::process::{self, build_example, build_sampan, cargo};

/// Additional time for the last start and the clean stop.
const END_MAX: Duration = Duration::from_secs(10 * 60);

/// Load on the platform during the kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// Deploys, publishes, pushes, events and calls
    Platform,
    /// Asynchronous calls; first on the queue alone, which sees every run
    Events,
}

impl Load {
    fn kills(self) -> u32 {
        match self {
            Self::Platform => 1000,
            Self::Events => 200,
        }
    }
}

/// Builds the required programs and runs the storm.
pub fn run(root: &Path, load: Load, kills: Option<u32>, minutes_max: u32) -> anyhow::Result<()> {
    let kills = kills.unwrap_or(load.kills()).to_string();
    let time_max = Duration::from_secs(u64::from(minutes_max) * 60) + END_MAX;
    let (sampan, hello) = (build_sampan(root, "dev")?, build_example(root, "hello")?);
    let mut storm = match load {
        Load::Platform => {
            let mut storm = built(root, "storm")?;
            storm.args([&kills, &minutes_max.to_string()]);
            storm
        }
        Load::Events => {
            let mut queue = cargo(root);
            queue.args(["test", "--locked", "--package", "sampan-events", "--test", "storm", "--", "--nocapture"]);
            queue.env("SAMPAN_STORM_KILLS", &kills).env("SAMPAN_STORM_MINUTES", minutes_max.to_string());
            process::run_within(&mut queue, time_max)?;
            let mut storm = built(root, "event_storm")?;
            storm.args([&kills, &minutes_max.to_string()]);
            storm
        }
    };
    storm.env("SAMPAN_BIN", sampan).env("SAMPAN_HELLO", hello);
    process::run_within(&mut storm, time_max)
}

/// A program of the end-to-end tests.
fn built(root: &Path, name: &str) -> anyhow::Result<Command> {
    process::run(cargo(root).args(["build", "--locked", "--package", "e2e", "--bin", name]))?;
    let program: PathBuf = process::target_dir(root).join("debug").join(name);
    Ok(Command::new(program))
}
