//! Arguments of `sampan logs`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::moment::Moment;

/// Arguments of `sampan logs`.
#[derive(Args)]
pub struct LogsArgs {
    /// Name of the function
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Keep printing new lines
    #[arg(long, short)]
    pub follow: bool,
    /// Only lines of this invocation; the beginning of its id is enough
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub request_id: Option<String>,
    /// Only lines of this instance, including those outside invocations; a prefix of its id (i-…)
    /// is enough
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub instance: Option<String>,
    /// Only lines of failed invocations, once they have ended
    #[arg(long)]
    pub failed: bool,
    /// Only lines since this time: relative (10m, 1h30m, 2d), a date, or a time
    /// (2026-11-28T08:15:00Z; without an offset it is in the local zone)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only lines until this time
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub until: Option<Moment>,
    /// Number of lines, the newest ones
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Print control characters unescaped, also to a terminal
    #[arg(long)]
    pub raw: bool,
}
