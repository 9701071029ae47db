//! Arguments of `sampan job`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::argv::Argv;
use super::extras::ExtrasArgs;
use super::size::Megabytes;

#[derive(Args)]
pub struct JobArgs {
    #[command(subcommand)]
    pub command: JobCommand,
}

/// What to do with jobs.
#[derive(Subcommand)]
pub enum JobCommand {
    /// Run an image once, in a function that is made for it and deleted afterwards, and print the
    /// id of the run
    Run(Box<JobRunArgs>),
}

#[derive(Args)]
pub struct JobRunArgs {
    /// Image; without a registry's host one in Sampan's own registry
    pub image: String,
    /// Arguments of the image's entry point, in place of its CMD
    #[arg(last = true)]
    pub words: Vec<String>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Memory: 64m, or a multiple of 128m such as 512m or 8g, at most [launcher] memory_mb_max;
    /// without a unit in MB
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Megabytes>,
    /// Settings beyond those of the reference's API
    #[command(flatten)]
    pub extras: ExtrasArgs,
    /// Timeout of the run, in seconds: 1 to 86400
    #[arg(long, value_name = "S", default_value_t = 3600)]
    pub timeout: u32,
    /// Environment variable
    #[arg(long, short, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    pub env: Vec<String>,
    /// File of environment variables, as Docker Compose reads it; of several the later ones win,
    /// and --env wins over all
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Replaces the image's entry point: arguments quoted as in a shell, or a JSON array
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub command: Option<Argv>,
    /// Event (JSON) in the variable SCF_CUSTOM_CONTAINER_EVENT
    #[arg(long, short, value_name = "TEXT", default_value = "{}", allow_hyphen_values = true)]
    pub data: String,
    /// Run it so many times, each in an instance of its own with its place in the variables
    /// SAMPAN_ARRAY_INDEX (from 0 on) and SAMPAN_ARRAY_SIZE: 1 to 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: Option<u32>,
    /// Wait for the end of the run, print its output meanwhile, and end as it does
    #[arg(long)]
    pub wait: bool,
    /// Keep the function
    #[arg(long)]
    pub keep: bool,
}
