//! Arguments of `sampan list`, `sampan get` and `sampan delete`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::ArgPredicate;

/// Arguments of `sampan list`.
#[derive(Args)]
pub struct ListArgs {
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// List only functions whose name contains this text
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub search: Option<String>,
}

/// Arguments of `sampan delete`.
#[derive(Args)]
pub struct DeleteArgs {
    /// Name of the function, or `NAME:VERSION` for one published version
    #[arg(
        required = false,
        required_unless_present = "file",
        default_value_if("file", ArgPredicate::IsPresent, ""),
        hide_default_value = true
    )]
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Delete the resources that this file declares and its project created, instead of one
    /// function
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["name", "namespace"])]
    pub file: Vec<PathBuf>,
    /// With --file: file of variables, one NAME=VALUE per line; variables of the environment take
    /// precedence
    #[arg(long, value_name = "FILE", requires = "file")]
    pub vars: Vec<PathBuf>,
}

/// Arguments of commands about one function.
#[derive(Args)]
pub struct NameArgs {
    /// Name of the function
    pub name: String,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
}
