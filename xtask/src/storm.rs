//! `cargo xtask storm`: kills the platform under load many times; fails when anything acknowledged
//! is lost.

use std::path::Path;
use std::time::Duration;

use crate::process::{self, build_example, build_sampan, cargo};

/// Additional time for the last start and the clean stop.
const END_MAX: Duration = Duration::from_secs(10 * 60);

/// Builds what is needed and runs the storm.
pub fn run(root: &Path, kills: u32, minutes_max: u32) -> anyhow::Result<()> {
    let (sampan, hello) = (build_sampan(root, "dev")?, build_example(root, "hello")?);
    process::run(cargo(root).args(["build", "--locked", "--package", "e2e", "--bin", "storm"]))?;
    let mut storm = std::process::Command::new(process::target_dir(root).join("debug/storm"));
    storm.args([kills.to_string(), minutes_max.to_string()]);
    storm.env("SAMPAN_BIN", sampan).env("SAMPAN_HELLO", hello);
    process::run_within(&mut storm, Duration::from_secs(u64::from(minutes_max) * 60) + END_MAX)
}
