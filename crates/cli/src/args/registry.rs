//! `sampan registry …`, as clap reads it. Must not act. No secret is ever an argument: every user of the machine could
//! read it in the list of processes.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

#[derive(Args)]
pub struct RegistryArgs {
    #[command(subcommand)]
    pub command: RegistryCommand,
}

#[derive(Subcommand)]
pub enum RegistryCommand {
    /// Set how a registry is reached and logged in to; what is not named stays as it is
    Add(Box<AddArgs>),
    /// List the registries that something is set for
    List,
    /// Forget what was added for a registry, its login too
    Remove {
        /// Host with an optional port, as image references begin with
        host: String,
    },
    /// Ask for an image, or for a registry, as a pull would
    Test {
        /// Image (one without a registry's host is in Sampan's own registry), or host of a registry
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
    /// Host with an optional port, as image references begin with; docker.io for Docker Hub
    pub host: String,
    /// User to log in with
    #[arg(long, value_name = "USER", requires = "password", conflicts_with = "tcr", allow_hyphen_values = true)]
    pub username: Option<String>,
    /// Read the user's password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Read the user's password from a file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Registry id (tcr-…) of an enterprise registry: images are pulled with temporary credentials of the cloud
    #[arg(long, value_name = "ID", requires = "tcr_secret_id", requires = "tcr_key")]
    pub tcr: Option<String>,
    /// Secret id of the key pair that asks for temporary credentials
    #[arg(long, value_name = "ID", requires = "tcr")]
    pub tcr_secret_id: Option<String>,
    /// Read the secret key of that pair from standard input
    #[arg(long)]
    pub tcr_secret_key_stdin: bool,
    /// Read the secret key of that pair from a file
    #[arg(long, value_name = "FILE")]
    pub tcr_secret_key_file: Option<PathBuf>,
    /// Region of the enterprise registry [default: tcr_region of [credentials]]
    #[arg(long, value_name = "NAME", requires = "tcr")]
    pub tcr_region: Option<String>,
    /// Where temporary credentials are asked for [default: tcr_endpoint of [credentials]]
    #[arg(long, value_name = "URL", requires = "tcr")]
    pub tcr_endpoint: Option<String>,
    /// Ask here before the registry itself: https://HOST[:PORT][/PREFIX]; several in this order replace those before
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
    /// PEM file of certificate authorities to trust for it, beside the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Speak to it without TLS: whoever is in between reads its images and its password
    #[arg(long)]
    pub plain_http: bool,
}
