//! Arguments of `sampan events`.

use std::num::NonZeroU64;

use clap::{Args, Subcommand};

#[derive(Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    pub command: EventsCommand,
}

/// Commands on asynchronous events.
#[derive(Subcommand)]
pub enum EventsCommand {
    /// List the events of a function, newest first
    List(EventsListArgs),
    /// Show the state of an event, or write its result
    Get(EventGetArgs),
    /// Wait until an event has ended; fails unless the event succeeded
    Wait(EventWaitArgs),
    /// Show or set the number of retries and the maximum age of a function's events
    Config(EventsConfigArgs),
    /// Terminate a waiting or running event; it is not retried
    Terminate(EventTerminateArgs),
    /// List dead letters, oldest first: events that were given up without a successful run
    DeadLetters(DeadLettersArgs),
    /// Show a dead letter: its reason, last output and payload
    DeadLetter(DeadLetterArgs),
    /// Queue dead letters again, with the same id and payload and the full number of retries
    Redrive(RedriveArgs),
    /// Delete dead letters permanently
    Purge(PurgeArgs),
}

#[derive(Args)]
pub struct DeadLetterArgs {
    /// Id of the event
    pub id: String,
}

#[derive(Args)]
pub struct DeadLettersArgs {
    /// List only dead letters of this function
    pub function: Option<String>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// List only dead letters after this row, the last one of the previous page
    #[arg(long, value_name = "ROW", default_value_t = 0)]
    pub after: u64,
    /// Number of dead letters, at most 100
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
}

/// Selection of dead letters.
#[derive(Args)]
pub struct Which {
    /// Id of the event
    #[arg(required_unless_present_any = ["all", "function"], conflicts_with_all = ["all", "function"])]
    pub id: Option<String>,
    /// All dead letters of the namespace
    #[arg(long, conflicts_with = "function")]
    pub all: bool,
    /// All dead letters of this function
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
    /// Confirm --all or --function; deleted payloads cannot be restored
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
    /// List only events in this state: RUNNING (waiting or running), FINISHED, ABORTED or FAILED
    #[arg(long, value_name = "STATE")]
    pub state: Vec<String>,
    /// Number of events, at most 100
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    /// Skip this many of the newest events
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub offset: u32,
}

#[derive(Args)]
pub struct EventGetArgs {
    /// Id of the event, printed by `sampan invoke --async`
    pub id: String,
    /// Write the function's answer byte for byte, once the event has ended
    #[arg(long)]
    pub result: bool,
}

#[derive(Args)]
pub struct EventWaitArgs {
    /// Id of the event, printed by `sampan invoke --async`
    pub id: String,
    /// Timeout of the wait, in seconds [default: no limit]
    #[arg(long, value_name = "S")]
    pub timeout: Option<NonZeroU64>,
}

#[derive(Args)]
pub struct EventTerminateArgs {
    /// Id of the event, printed by `sampan invoke --async`
    pub id: String,
    /// Send a running instance its stop signal (SIGTERM) and kill it after its stop grace, instead
    /// of killing it at once
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
    /// Retries after a run that failed in the function, 0 to 2; applies to events accepted from now
    /// on
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// Maximum age of a waiting event, in seconds: 60 to 21600; applies to events accepted from now
    /// on
    #[arg(long, value_name = "S")]
    pub max_age: Option<u32>,
}
