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

/// Commands on jobs.
#[derive(Subcommand)]
pub enum JobCommand {
    /// Run an image once, in a temporary function that is deleted afterwards, and print the id of
    /// the run
    Run(Box<JobRunArgs>),
}

#[derive(Args)]
pub struct JobRunArgs {
    /// Image reference; without a registry host it names an image in Sampan's own registry
    pub image: String,
    /// Arguments for the image's entry point, which replace its CMD
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
    /// File of environment variables in Docker Compose's format (a name alone takes the value of
    /// the command's own variable, if set); later files override earlier ones, and --env all files
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Replaces the image's entry point: arguments quoted as in a shell, or a JSON array
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub command: Option<Argv>,
    /// Event (JSON) in the variable SCF_CUSTOM_CONTAINER_EVENT
    #[arg(long, short, value_name = "TEXT", default_value = "{}", allow_hyphen_values = true)]
    pub data: String,
    /// Number of runs, 1 to 1000, each in its own instance, with its index from 0 in
    /// SAMPAN_ARRAY_INDEX and their number in SAMPAN_ARRAY_SIZE
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub count: Option<u32>,
    /// Wait for the end of the run, print its output meanwhile, and exit with its status
    #[arg(long)]
    pub wait: bool,
    /// Keep the function after the run
    #[arg(long)]
    pub keep: bool,
}
