//! Arguments of `sampan registry …`. Secrets are never arguments, because every user of the machine
//! can read the arguments of processes.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

#[derive(Args)]
pub struct RegistryArgs {
    #[command(subcommand)]
    pub command: RegistryCommand,
}

#[derive(Subcommand)]
pub enum RegistryCommand {
    /// Set mirrors, login and other settings of a registry; settings that are not given are kept
    Add(Box<AddArgs>),
    /// List registries with settings
    List,
    /// Remove the added settings of a registry, including its login
    #[command(alias = "delete")]
    Remove {
        /// Host with an optional port, as in image references
        host: String,
    },
    /// Request an image or a registry as a pull would, and show the result
    Test {
        /// Image reference (without a registry host: in Sampan's own registry), or host of a
        /// registry
        #[arg(value_name = "IMAGE or HOST")]
        target: String,
        /// Registry id (tcr-…) of an enterprise registry
        #[arg(long, value_name = "ID")]
        registry_id: Option<String>,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("password").args(["password_stdin", "password_file"]).requires("username"))]
#[command(group = ArgGroup::new("tcr_key").args(["tcr_secret_key_stdin", "tcr_secret_key_file"]).requires("tcr"))]
pub struct AddArgs {
    /// Host with an optional port, as in image references; docker.io for Docker Hub
    pub host: String,
    /// User name of the login
    #[arg(long, value_name = "USER", requires = "password", conflicts_with = "tcr", allow_hyphen_values = true)]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Read the password from a file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Registry id (tcr-…) of an enterprise registry: pulls use temporary credentials of the cloud
    #[arg(long, value_name = "ID", requires = "tcr_secret_id", requires = "tcr_key")]
    pub tcr: Option<String>,
    /// Secret id of the key pair that requests temporary credentials
    #[arg(long, value_name = "ID", requires = "tcr")]
    pub tcr_secret_id: Option<String>,
    /// Read the secret key of that key pair from standard input
    #[arg(long)]
    pub tcr_secret_key_stdin: bool,
    /// Read the secret key of that key pair from a file
    #[arg(long, value_name = "FILE")]
    pub tcr_secret_key_file: Option<PathBuf>,
    /// Region of the enterprise registry [default: tcr_region of [credentials]]
    #[arg(long, value_name = "NAME", requires = "tcr")]
    pub tcr_region: Option<String>,
    /// Endpoint for temporary credentials [default: tcr_endpoint of [credentials]]
    #[arg(long, value_name = "URL", requires = "tcr")]
    pub tcr_endpoint: Option<String>,
    /// Mirror to try before the registry itself: https://HOST[:PORT][/PREFIX]; may be repeated, is
    /// tried in the given order, and replaces all existing mirrors
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
    /// PEM file of certificate authorities to trust in addition to the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Use plain HTTP: anyone on the path can read images and password
    #[arg(long)]
    pub plain_http: bool,
}
