//! Arguments of `sampan secret …`. Values are never arguments: every user of the machine can read
//! arguments of running processes, and shells keep them in their history.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use types::{Namespace, SecretFile, SecretName, SecretRef};

#[derive(Args)]
pub struct SecretArgs {
    #[command(subcommand)]
    pub command: SecretCommand,
}

#[derive(Subcommand)]
pub enum SecretCommand {
    /// Set the value of a secret from standard input or a file, as a new version; instances of
    /// functions that follow the newest version are replaced as their requests end
    Set(SecretSetArgs),
    /// List secrets and the functions that use them; no command shows a value
    List(SecretListArgs),
    /// List the versions of a secret
    Versions(SecretNameArgs),
    /// Delete a secret, or one version of it; fails while a function uses it
    Delete(SecretDeleteArgs),
    /// Show who set or deleted secrets, and which functions read them
    Audit(SecretAuditArgs),
}

#[derive(Args)]
pub struct SecretSetArgs {
    /// Name of the secret
    pub name: SecretName,
    /// Read the value from this file, byte for byte, instead of standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Remove one line break from the end of the value, such as `echo` writes
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
    /// Delete only this version
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
    /// Namespace
    #[arg(long, short, default_value = "default")]
    pub namespace: Namespace,
}

#[derive(Args)]
pub struct SecretAuditArgs {
    /// Name of the secret [default: all]
    pub name: Option<SecretName>,
    /// Maximum number of entries, the newest ones
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub limit: u16,
    /// Namespace [default: all]
    #[arg(long, short)]
    pub namespace: Option<Namespace>,
}

/// One `--secret` of a deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenSecret {
    /// A variable in the form of `--env`.
    Variable(String),
    /// A file named after the secret.
    File(SecretFile),
}

/// Parses `KEY=NAME[@VERSION]` or `NAME[@VERSION]`.
pub fn given(text: &str) -> Result<GivenSecret, String> {
    match text.split_once('=') {
        Some(("", _)) => Err("write KEY=NAME, such as DB_PASSWORD=db, or NAME for a file".to_owned()),
        Some((key, secret)) => {
            let secret: SecretRef = secret.parse()?;
            Ok(GivenSecret::Variable(format!("{key}={}", secret.in_variable())))
        }
        None => SecretFile::parse(text).map(GivenSecret::File),
    }
}

/// Parses one `--secret-file`; an empty text gives `None`.
pub fn file(text: &str) -> Result<GivenFile, String> {
    if text.is_empty() { Ok(GivenFile(None)) } else { SecretFile::parse(text).map(|file| GivenFile(Some(file))) }
}

/// A secret file; `None` for an empty text, which removes all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenFile(pub Option<SecretFile>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_a_secret() {
        let variable = |text: &str| GivenSecret::Variable(text.to_owned());
        assert_eq!(given("DB_PASSWORD=db"), Ok(variable("DB_PASSWORD={{secret:db}}")));
        assert_eq!(given("A=db@3"), Ok(variable("A={{secret:db@3}}")));
        for wrong in ["", "=db", "A=", "A=d b", "A=db@", "A=db@0", "d b"] {
            assert!(given(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_alone_is_a_file() {
        let db = |path: &str| SecretFile::new(path, "db@3").expect("valid");
        assert_eq!(given("db@3"), Ok(GivenSecret::File(db("db"))));
        assert_eq!(file("tls/key=db@3"), Ok(GivenFile(Some(db("tls/key")))));
        assert_eq!(file(""), Ok(GivenFile(None)));
        assert!(file("/etc/key=db").is_err());
    }
}
