//! Arguments of `sampan`: the platform's commands beside those of [`cli`].

pub mod backup;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use cli::args::AFTER_HELP;
pub use cli::args::{Connection, Output};

/// Container images as functions, on one machine.
#[derive(Parser)]
#[command(name = "sampan", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub connection: Connection,
    /// Format of results
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
}

#[derive(Subcommand)]
pub enum Command {
    /// Start the platform on this machine and run until SIGINT or SIGTERM (needs root)
    Up(Box<UpArgs>),
    #[command(flatten)]
    Client(cli::args::Command),
    /// Copy the database of functions into a file, also while the platform runs; lists what the
    /// copy does not contain
    Backup(backup::BackupArgs),
    /// Replace the database by a backup; the platform must be stopped
    Restore(backup::RestoreArgs),
    /// Check this machine's kernel features, and show what replaces missing ones
    Doctor(UpArgs),
    /// Print the effective settings and their origins
    Config(UpArgs),
}

/// Frequently used settings of the platform as flags; the configuration file has all of them.
#[derive(Args, Clone, Default)]
pub struct UpArgs {
    /// Directory of all persistent data [default: /var/lib/sampan]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of API, registry and metrics [default: 127.0.0.1:7070]; port 0 chooses a free one
    #[arg(long, value_name = "ADDR")]
    pub control_addr: Option<SocketAddr>,
    /// Address for calls of functions [default: 127.0.0.1:7080]; port 0 chooses a free one
    #[arg(long, value_name = "ADDR")]
    pub gateway_addr: Option<SocketAddr>,
    /// Address for calls of functions over TLS, with the certificates in [gateway.certificates]
    /// [default: none]
    #[arg(long, value_name = "ADDR")]
    pub gateway_tls_addr: Option<SocketAddr>,
    /// Seconds to wait for runs of events before a stop begins, while calls are still answered
    /// [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub drain: Option<u64>,
    /// Start with an empty database although the data directory has other content; existing
    /// functions are lost
    #[arg(long)]
    pub new: bool,
    /// The global --region, the region shown to functions.
    #[arg(skip)]
    pub region: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn free_text_may_begin_with_a_hyphen() {
        let push = ["push", "--from-dir", ".", "i:v1", "--entrypoint", "sh", "--entrypoint", "-c", "--env", "-A=b"];
        let parsed = Cli::try_parse_from(["sampan"].iter().chain(&push));
        assert!(parsed.is_ok(), "{}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
    }
}
