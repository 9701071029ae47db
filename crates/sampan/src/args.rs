//! The command line of `sampan`: the platform's own commands beside those of [`cli`].

pub mod backup;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use cli::args::AFTER_HELP;
pub use cli::args::{Connection, Output, PushArgs};

/// Container images as functions, on one machine.
#[derive(Parser)]
#[command(name = "sampan", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub connection: Connection,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub output: Output,
}

#[derive(Subcommand)]
pub enum Command {
    /// Bring the platform up on this machine and stay until SIGINT or SIGTERM (needs root)
    Up(Box<UpArgs>),
    /// Push an image into Sampan's registry, or any other, without a container tool
    Push(PushArgs),
    #[command(flatten)]
    Client(cli::args::Command),
    /// Copy the database of functions into a file, also while the platform runs; names what the copy does not hold
    Backup(backup::BackupArgs),
    /// Put a copy of the database in place; the platform must be down
    Restore(backup::RestoreArgs),
    /// Say what this machine's kernel has and what is used in place of what it lacks
    Doctor(UpArgs),
    /// Print the settings in force and where each comes from
    Config(UpArgs),
}

/// Settings of the platform that are common enough for a flag; all of them are keys of the configuration file.
#[derive(Args, Clone, Default)]
pub struct UpArgs {
    /// Where everything is kept [default: /var/lib/sampan]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of API, registry and metrics [default: 127.0.0.1:7070]; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub control_addr: Option<SocketAddr>,
    /// Address where functions are called [default: 127.0.0.1:7080]; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub gateway_addr: Option<SocketAddr>,
    /// Address where functions are called over TLS, with the certificates of [gateway.certificates] [default: none]
    #[arg(long, value_name = "ADDR")]
    pub gateway_tls_addr: Option<SocketAddr>,
    /// Begin with an empty database where the data directory has content but no database; functions are gone then
    #[arg(long)]
    pub new: bool,
    /// Name of the region that functions see: the global --region
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
