//! Arguments of `sampan secret …`. No value is an argument: every user of the machine sees those of
//! running programs, and a shell keeps them in its history.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use types::{Namespace, SecretName, SecretRef};

#[derive(Args)]
pub struct SecretArgs {
    #[command(subcommand)]
    pub command: SecretCommand,
}

#[derive(Subcommand)]
pub enum SecretCommand {
    /// Give a secret a value, read from standard input or a file: a new version; instances of
    /// functions that follow the newest are replaced as their requests end
    Set(SecretSetArgs),
    /// List secrets with the functions that have them; no command shows a value
    List(SecretListArgs),
    /// List the versions of a secret
    Versions(SecretNameArgs),
    /// Delete a secret, or one version of it, unless a function has it
    Delete(SecretDeleteArgs),
}

#[derive(Args)]
pub struct SecretSetArgs {
    /// Name of the secret
    pub name: SecretName,
    /// Read the value from this file, byte by byte, in place of standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Leave out one line break at the end of the value, as `echo` writes it
    #[arg(long)]
    pub trim: bool,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: Namespace,
}

#[derive(Args)]
pub struct SecretListArgs {
    /// Namespace [default: all]
    #[arg(long, short)]
    pub namespace: Option<Namespace>,
}

#[derive(Args)]
pub struct SecretNameArgs {
    /// Name of the secret
    pub name: SecretName,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: Namespace,
}

#[derive(Args)]
pub struct SecretDeleteArgs {
    /// Name of the secret
    pub name: SecretName,
    /// Delete this version alone
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: Namespace,
}

/// One `--secret` of a deploy: a variable and the secret that is its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    key: String,
    secret: SecretRef,
}

impl fmt::Display for Variable {
    /// As `--env` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.secret.in_variable())
    }
}

/// Reads `KEY=NAME` or `KEY=NAME@VERSION`.
pub fn variable(text: &str) -> Result<Variable, String> {
    let form = "write KEY=NAME, such as DB_PASSWORD=db, or KEY=NAME@VERSION";
    let (key, secret) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or(form)?;
    Ok(Variable { key: key.to_owned(), secret: secret.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_a_secret() {
        let shown = |text| variable(text).map(|variable| variable.to_string());
        assert_eq!(shown("DB_PASSWORD=db").as_deref(), Ok("DB_PASSWORD={{secret:db}}"));
        assert_eq!(shown("A=db@3").as_deref(), Ok("A={{secret:db@3}}"));
        for wrong in ["db", "=db", "A=", "A=d b", "A=db@", "A=db@0"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }
}
