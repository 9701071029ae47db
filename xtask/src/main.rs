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
    /// Build Sampan, start it on a new data directory, deploy two functions of examples/hello and
    /// call them
    Quickstart {
        /// Leave Sampan running until Ctrl-C
        #[arg(long)]
        keep: bool,
    },
    /// Install the programs that the tests need, and run all tests
    Test {
        /// Only the tests whose name contains this text (nextest's filter)
        filter: Option<String>,
        /// Install nothing; fail when a program is missing
        #[arg(long)]
        no_install: bool,
    },
    /// Kill the platform under load repeatedly; fail when an acknowledged change is lost or partial
    Storm {
        /// Kind of load
        #[arg(value_enum, default_value = "platform")]
        load: storm::Load,
        /// Number of kills: 1000, and 200 of `events`
        #[arg(long)]
        kills: Option<u32>,
        /// Fail when the kills take longer
        #[arg(long, default_value_t = 120, value_name = "MINUTES")]
        minutes_max: u32,
    },
    /// Check dependencies between crates, use of `unsafe`, file names, line lengths, circles of
    /// files, and that every file has a module doc
    Tidy {
        /// First remove fixed findings from xtask/tidy-allowed.toml
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
        /// A hundredth of the size, as a smoke test: `events` and `timers`
        #[arg(long)]
        small: bool,
        /// Only one part: `acceptance` or `waiting` of `events`, `minute` or `second` of `timers`
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
