//! Arguments of `sampan events`.

use std::num::NonZeroU64;

use clap::{Args, Subcommand};

#[derive(Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    pub command: EventsCommand,
}

/// What to do with asynchronous events.
#[derive(Subcommand)]
pub enum EventsCommand {
    /// List the events of a function, newest first
    List(EventsListArgs),
    /// Show the state of an event, or write its result
    Get(EventGetArgs),
    /// Wait until an event has ended; fails unless it ended well
    Wait(EventWaitArgs),
    /// Show or set how often events of a function are retried, and when they are given up
    Config(EventsConfigArgs),
    /// End an event that waits or runs; it never runs again
    Terminate(EventTerminateArgs),
    /// List dead letters, oldest first: events of which no run ended well
    DeadLetters(DeadLettersArgs),
    /// Show a dead letter: why it was given up, its last output and its payload
    DeadLetter(DeadLetterArgs),
    /// Run dead letters again, with the same id and payload and fresh attempts
    Redrive(RedriveArgs),
    /// Remove dead letters for good
    Purge(PurgeArgs),
}

#[derive(Args)]
pub struct DeadLetterArgs {
    /// Id of the event
    pub id: String,
}

#[derive(Args)]
pub struct DeadLettersArgs {
    /// Only those of this function
    pub function: Option<String>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Only those after this row, as the last one of the page before has it
    #[arg(long, value_name = "ROW", default_value_t = 0)]
    pub after: u64,
    /// Number of dead letters, at most 100
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

/// Which dead letters.
#[derive(Args)]
pub struct Which {
    /// Id of the event
    #[arg(required_unless_present_any = ["all", "function"], conflicts_with_all = ["all", "function"])]
    pub id: Option<String>,
    /// All of the namespace
    #[arg(long, conflicts_with = "function")]
    pub all: bool,
    /// All of this function
    #[arg(long)]
    pub function: Option<String>,
    /// Namespace of --all and --function
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
}

#[derive(Args)]
pub struct RedriveArgs {
    #[command(flatten)]
    pub which: Which,
}

#[derive(Args)]
pub struct PurgeArgs {
    #[command(flatten)]
    pub which: Which,
    /// Confirm that --all or --function is meant: nothing brings their payloads back
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct EventsListArgs {
    /// Name of the function
    pub function: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Only events in this state: RUNNING (waits or runs), FINISHED, ABORTED or FAILED
    #[arg(long, value_name = "STATE")]
    pub state: Vec<String>,
    /// Number of events, at most 100
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    /// Leave out so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub offset: u32,
}

#[derive(Args)]
pub struct EventGetArgs {
    /// Id of the event, printed by `sampan invoke --async`
    pub id: String,
    /// Write what the function answered, byte for byte, once the event has ended
    #[arg(long)]
    pub result: bool,
}

#[derive(Args)]
pub struct EventWaitArgs {
    /// Id of the event, printed by `sampan invoke --async`
    pub id: String,
    /// Longest wait, in seconds [default: no limit]
    #[arg(long, value_name = "S")]
    pub timeout: Option<NonZeroU64>,
}

#[derive(Args)]
pub struct EventTerminateArgs {
    /// Id of the event, printed by `sampan invoke --async`
    pub id: String,
    /// Ask a running instance to end by its stop signal (SIGTERM) and kill it after its grace,
    /// instead of killing it at once
    #[arg(long)]
    pub graceful: bool,
}

#[derive(Args)]
pub struct EventsConfigArgs {
    /// Name of the function
    pub function: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Runs that follow one which failed in the function, 0 to 2; for events accepted from now on
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// Seconds after which an event that waits is given up, 60 to 21600; for events accepted from
    /// now on
    #[arg(long, value_name = "S")]
    pub max_age: Option<u32>,
}
