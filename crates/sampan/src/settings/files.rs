//! Files that settings name: only regular ones, since opening a named pipe that has no writer
//! blocks forever.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::{Connection, Settings};
use crate::failure::{Exit, Failure};

/// Refuses files of settings that are pipes, devices, sockets or directories. Missing files are
/// left to their readers. `named_key` is the key file of the environment, with its variable.
///
/// # Errors
/// The first file that is refused, with its setting and path.
pub(super) fn check(settings: &Settings, named_key: Option<(&str, &Path)>) -> anyhow::Result<()> {
    if let Some((variable, path)) = named_key {
        check_one(variable, path)?;
    }
    if let Some(path) = &settings.secrets.key_file {
        check_one("[secrets] key_file", path)?;
    }
    if let Some(path) = &settings.control.metrics_token_file {
        check_one("[control] metrics_token_file", path)?;
    }
    // Its directory is allowed: one of several files.
    if let Some(path) = settings.credentials.plugins_config.as_ref().filter(|path| !path.is_dir()) {
        check_one("[credentials] plugins_config", path)?;
    }
    for (name, files) in &settings.gateway.certificates {
        check_one(&format!("[gateway.certificates.{name}] chain_file"), &files.chain_file)?;
        check_one(&format!("[gateway.certificates.{name}] key_file"), &files.key_file)?;
    }
    for (host, registry) in &settings.registries {
        if let Some(path) = &registry.ca_file {
            check_one(&format!("[registries.\"{host}\"] ca_file"), path)?;
        }
    }
    for (name, connection) in &settings.connections {
        let (key, path) = match connection {
            Connection::S3(store) => ("secret_key_file", &store.secret_key_file),
            Connection::Http(endpoint) => ("bearer_file", &endpoint.bearer_file),
        };
        if let Some(path) = path {
            check_one(&format!("[connections.{name}] {key}"), path)?;
        }
    }
    Ok(())
}

fn check_one(setting: &str, path: &Path) -> anyhow::Result<()> {
    let Ok(found) = path.metadata().map(|metadata| metadata.file_type()) else { return Ok(()) };
    let kind = match found {
        found if found.is_file() => return Ok(()),
        found if found.is_dir() => "a directory",
        found if found.is_fifo() => "a pipe",
        found if found.is_socket() => "a socket",
        _ => "a device",
    };
    let hint = match setting {
        setting if setting.contains("SECRETS_KEY_FILE") || setting.starts_with("[secrets]") => {
            "Name a regular file; for a key that a program prints there is [secrets] key_command."
        }
        _ => "Name a regular file.",
    };
    Err(Failure::new(Exit::Usage, format!("{setting}: {} is {kind}, not a regular file", path.display()), hint).into())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn files_that_are_not_regular_are_refused_with_setting_and_path() {
        let dir = tempfile::tempdir().expect("a directory");
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a pipe");
        let path = pipe.display();
        let tables = [
            (format!("[secrets]\nkey_file = '{path}'"), "[secrets] key_file: "),
            (format!("[control]\nmetrics_token_file = '{path}'"), "[control] metrics_token_file: "),
            (format!("[credentials]\nplugins_config = '{path}'"), "[credentials] plugins_config: "),
            (
                format!("[gateway.certificates.shop]\nchain_file = '{path}'\nkey_file = '/nowhere'"),
                "[gateway.certificates.shop] chain_file: ",
            ),
            (
                format!("[gateway.certificates.shop]\nchain_file = '/nowhere'\nkey_file = '{path}'"),
                "[gateway.certificates.shop] key_file: ",
            ),
            (format!("[registries.'r.example']\nca_file = '{path}'"), "[registries.\"r.example\"] ca_file: "),
            (
                format!(
                    "[connections.store]\nkind = 's3'\nendpoint = 'http://s3.example'\naccess_key = 'AK'\n\
                     secret_key_file = '{path}'"
                ),
                "[connections.store] secret_key_file: ",
            ),
            (
                format!("[connections.hook]\nkind = 'http'\nurl = 'https://h.example/'\nbearer_file = '{path}'"),
                "[connections.hook] bearer_file: ",
            ),
        ];
        for (text, setting) in tables {
            let settings: Settings = toml::from_str(&text).expect(&text);
            let refused = check(&settings, None).expect_err(setting).to_string();
            assert_eq!(refused, format!("{setting}{path} is a pipe, not a regular file"));
        }
        let settings = Settings::default();
        let refused = check(&settings, Some(("SAMPAN_SECRETS_KEY_FILE", &pipe))).expect_err("a pipe");
        let failure = Failure::of(&refused);
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().starts_with("SAMPAN_SECRETS_KEY_FILE: "), "{failure}");
        assert!(failure.hint().contains("key_command"), "{}", failure.hint());
    }

    #[test]
    fn regular_and_missing_files_and_directories_of_plugins_pass() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("key");
        std::fs::write(&file, "x").expect("written");
        let mut settings = Settings::default();
        settings.credentials.plugins_config = Some(dir.path().to_owned());
        for path in [file, PathBuf::from("/nowhere/key")] {
            settings.secrets.key_file = Some(path);
            check(&settings, None).expect("passes");
        }
        settings.secrets.key_file = Some(dir.path().to_owned());
        let refused = check(&settings, None).expect_err("a directory").to_string();
        assert!(refused.contains("is a directory"), "{refused}");
    }
}
