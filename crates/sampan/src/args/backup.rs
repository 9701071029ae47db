//! Arguments of `sampan backup` and `sampan restore`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub struct BackupArgs {
    /// File to write; it must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args)]
pub struct RestoreArgs {
    /// File written by `sampan backup`
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace an existing database
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub place: Place,
}

/// Location of the database.
#[derive(Args)]
pub struct Place {
    /// The data directory [default: /var/lib/sampan]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
