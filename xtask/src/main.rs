//! Tasks of the repository: `cargo xtask <task>`.
//!
//! They check, demonstrate and measure the project; Sampan runs without them.
#![forbid(unsafe_code)]

mod bench;
mod packages;
mod process;
mod quickstart;
mod simulate;
mod storm;
mod test;
mod tidy;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the Sampan repository")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build Sampan, bring it up in a fresh data directory, make two functions of examples/hello
    /// and call them
    Quickstart {
        /// Leave Sampan running until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
    /// Install what the tests need and run all of them
    Test {
        /// Only the tests whose name contains this text (nextest's filter)
        filter: Option<String>,
        /// Do not install anything; fail where something is missing
        #[arg(long)]
        no_install: bool,
    },
    /// Kill the platform under load repeatedly; fail when anything acknowledged is lost or partial
    Storm {
        /// What the load is
        #[arg(value_enum, default_value = "platform")]
        load: storm::Load,
        /// Number of kills: 1000, and 200 of `events`
        #[arg(long)]
        kills: Option<u32>,
        /// Fail when the kills take longer
        #[arg(long, default_value_t = 120, value_name = "MINUTES")]
        minutes_max: u32,
    },
    /// Check the arrows between crates, where `unsafe` stands, words, lines and circles of files,
    /// and that every file says what it owns
    Tidy {
        /// First take out of xtask/tidy-allowed.toml what is mended
        #[arg(long)]
        trim: bool,
    },
    /// Print one of the whole-system figures, as a ratio against a peer measured in the same run
    Bench {
        /// Which figure
        #[arg(value_enum)]
        name: bench::Name,
        /// Rounds; the medians over them are printed
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// A hundredth of the size, to see that it works: `events` and `timers`
        #[arg(long)]
        small: bool,
        /// One part alone: `acceptance` or `waiting` of `events`, `minute` or `second` of `timers`
        #[arg(long, value_name = "PART")]
        only: Option<String>,
    },
    /// Replay a trace of calls under several keep-alive policies, and print the cost of each
    Simulate(simulate::SimulateArgs),
}

fn main() -> anyhow::Result<()> {
    let root = process::workspace_root()?;
    match Cli::parse().task {
        Task::Quickstart { keep } => quickstart::run(&root, keep),
        Task::Test { filter, no_install } => test::run(&root, filter.as_deref(), no_install),
        Task::Storm { load, kills, minutes_max } => storm::run(&root, load, kills, minutes_max),
        Task::Tidy { trim } => tidy::run(&root, trim),
        Task::Simulate(args) => simulate::run(&args),
        Task::Bench { name, rounds, small, only } => bench::run(&root, name, &bench::Extent { rounds, small, only }),
    }
}
