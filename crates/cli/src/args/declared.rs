//! Arguments of the commands on declarations.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub struct DiffArgs {
    /// Declaration; later ones are overlays, whose keys replace those of earlier ones
    #[arg(long, short, value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
    /// File with variables, a NAME=VALUE in each line; those of the environment come first
    #[arg(long, value_name = "FILE")]
    pub vars: Vec<PathBuf>,
    /// Also show what the project made and no longer declares
    #[arg(long)]
    pub prune: bool,
}

#[derive(Args)]
pub struct ImportArgs {
    /// A serverless.yml of the SCF component, or a SAM template; what of it is left out is said on
    /// standard error
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Args)]
pub struct ExportArgs {
    /// Name of the project [default: that of all that is exported, else exported]
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
}
