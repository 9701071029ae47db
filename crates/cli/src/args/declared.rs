//! Arguments of the commands on declarations.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub struct DiffArgs {
    /// Declaration; further files are overlays whose keys replace those of earlier files
    #[arg(long, short, value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
    /// File of variables, one NAME=VALUE per line; variables of the environment take precedence
    #[arg(long, value_name = "FILE")]
    pub vars: Vec<PathBuf>,
    /// Also show resources that the project created and no longer declares
    #[arg(long)]
    pub prune: bool,
}

#[derive(Args)]
pub struct ImportArgs {
    /// A serverless.yml of the SCF component, or a SAM template; keys that cannot be imported are
    /// listed on standard error
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Args)]
pub struct ExportArgs {
    /// Name of the project [default: the project of all exported resources if they share one, else
    /// `exported`]
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
}
