//! Arguments of `sampan trigger …`.

use clap::{Args, Subcommand};

#[derive(Args)]
pub struct TriggerArgs {
    #[command(subcommand)]
    pub command: TriggerCommand,
}

#[derive(Subcommand)]
pub enum TriggerCommand {
    /// Create a trigger
    Create(CreateArgs),
    /// List the triggers of a function
    List(FunctionArgs),
    /// Change a trigger; settings that are not given are kept
    Update(UpdateArgs),
    /// Delete a trigger
    Delete(NameArgs),
    /// Create one event of a trigger now, marked as a test
    Test(NameArgs),
    /// Show the next times of a timer
    Next(NextArgs),
    /// Pause a trigger: it creates no events until it is resumed
    Pause(NameArgs),
    /// Resume a paused trigger; times that passed meanwhile are skipped, new objects of a polled
    /// bucket are found
    Resume(NameArgs),
}

/// A function.
#[derive(Args)]
pub struct FunctionArgs {
    /// Name of the function; with :VERSION or :ALIAS, only triggers of that version or alias
    #[arg(value_name = "FUNCTION[:QUALIFIER]")]
    pub function: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
}

/// A trigger of a function.
#[derive(Args)]
pub struct NameArgs {
    #[command(flatten)]
    pub function: FunctionArgs,
    /// Name of the trigger
    pub name: String,
    /// Type of the trigger, if triggers of several types have that name
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
}

#[derive(Args)]
pub struct NextArgs {
    #[command(flatten)]
    pub trigger: NameArgs,
    /// Number of times
    #[arg(long, default_value_t = 5)]
    pub count: u32,
}

#[derive(Args)]
pub struct CreateArgs {
    /// Name of the function; events go to $LATEST unless :VERSION or :ALIAS is given
    #[arg(value_name = "FUNCTION[:QUALIFIER]")]
    pub function: String,
    /// Name of the trigger
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Type of the trigger
    #[arg(long = "type", value_name = "TYPE", default_value = "timer")]
    pub kind: String,
    #[command(flatten)]
    pub desc: DescArgs,
    #[command(flatten)]
    pub texts: TextArgs,
    /// Create the trigger paused
    #[arg(long)]
    pub paused: bool,
}

#[derive(Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    pub trigger: NameArgs,
    #[command(flatten)]
    pub desc: DescArgs,
    #[command(flatten)]
    pub texts: TextArgs,
}

/// Settings of a trigger by its type.
#[derive(Args, Default)]
pub struct DescArgs {
    /// Times of a timer: 'second minute hour day month weekday year' or 'minute hour day month
    /// weekday', such as '0 9 * * MON-FRI'
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "desc")]
    pub cron: Option<String>,
    /// Time zone of --cron, such as Europe/Berlin or +01:00 [default: the platform's, +08:00]
    #[arg(long, value_name = "ZONE", conflicts_with = "desc", allow_hyphen_values = true)]
    pub zone: Option<String>,
    /// TriggerDesc of the cloud API: JSON, or the text form of the type; replaces the existing one
    /// as a whole
    #[arg(long, value_name = "TEXT")]
    pub desc: Option<String>,
    /// Maximum age of an event when its run begins, in seconds
    #[arg(long, value_name = "S")]
    pub max_age: Option<u32>,
    /// Maximum number of events of the trigger per minute
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Maximum number of concurrent runs of the trigger's events; further events wait without
    /// delaying others
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
}

/// Texts of a trigger.
#[derive(Args)]
pub struct TextArgs {
    /// Text that a timer's events carry as Message
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub argument: Option<String>,
    /// Description
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub description: Option<String>,
}
