//! Checks of the settings before the start changes the machine, and of `sampan config`.

use std::fs::File;
use std::path::PathBuf;

use super::{Connection, Settings, files};
use crate::failure::{Exit, Failure};

/// Environment variable with the path of the key that seals secrets.
const KEY_FILE_VARIABLE: &str = "SAMPAN_SECRETS_KEY_FILE";

/// Rejects settings with which the platform cannot run.
///
/// # Errors
/// The first invalid setting.
pub fn check(settings: &Settings) -> anyhow::Result<()> {
    files::check(settings, named_key().as_deref().map(|path| (KEY_FILE_VARIABLE, path)))?;
    settings.launcher.check_runtimes()?;
    settings.events.check().map_err(of_setting)?;
    settings.gateway.check_hosts().map_err(of_setting)?;
    settings.gateway.asynchronous.check().map_err(of_setting)?;
    settings.triggers.check(settings.events.dedup_s).map_err(of_setting)?;
    settings.volumes.check().map_err(of_setting)?;
    outbound(settings)?;
    secrets_key(settings)?;
    if settings.gateway_tls_addr.is_some() {
        gateway::Tls::check(&settings.gateway)?;
    }
    Ok(())
}

/// Warnings about files of `[connections]` that cannot be read now. They may be written later: they
/// are read for each request.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let file = |(name, connection): (&String, &Connection)| {
        let (key, file) = match connection {
            Connection::S3(store) => ("secret_key_file", store.secret_key_file.as_ref()?),
            Connection::Http(endpoint) => ("bearer_file", endpoint.bearer_file.as_ref()?),
        };
        // Opening a pipe would wait for its writer.
        let opened =
            file.metadata().and_then(|found| if found.is_file() { File::open(file).map(drop) } else { Ok(()) });
        let error = opened.err()?;
        Some(format!("connections.{name}.{key}: cannot read {}: {error}", file.display()))
    };
    settings.connections.iter().filter_map(file).collect()
}

/// Client of outgoing requests, with the endpoints of `[connections]`.
///
/// # Errors
/// An invalid setting of `[outbound]` or `[connections.NAME]`.
pub fn outbound(settings: &Settings) -> anyhow::Result<outbound::Client> {
    let endpoints = Connection::endpoints(&settings.connections);
    Ok(outbound::Client::new(&settings.outbound, &endpoints).map_err(of_setting)?)
}

/// The location of the key that seals secrets.
///
/// # Errors
/// Several locations.
pub fn secrets_key(settings: &Settings) -> anyhow::Result<::credentials::KeyFile> {
    Ok(settings.secrets.key(named_key()).map_err(of_setting)?)
}

/// Key file from the environment variable.
fn named_key() -> Option<PathBuf> {
    std::env::var_os(KEY_FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Failure for an error that names its setting.
fn of_setting(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, error.to_string(), "`sampan config` shows where it is set.")
}

#[cfg(test)]
#[allow(clippy::result_large_err)] // figment's `Jail` fixes the error type.
mod tests {
    use crate::args::UpArgs;
    use crate::failure::Failure;
    use crate::settings;

    /// The refusal of a configuration file.
    fn refusal(file: &str) -> Option<String> {
        let mut refusal = None;
        figment::Jail::expect_with(|jail| {
            jail.create_file("s.toml", file)?;
            let args = UpArgs { config: Some("s.toml".into()), ..UpArgs::default() };
            let checked = settings::load(&args).and_then(|settings| settings::check(&settings));
            refusal = checked.err().map(|error| Failure::of(&error).to_string());
            Ok(())
        });
        refusal
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        assert_eq!(refusal("drain_s = 5\n"), None);
        for (file, setting) in [
            ("[events]\nlease_s = 0", "events.lease_s"),
            ("[events]\ndead_letters_max = 0", "events.dead_letters_max"),
            ("[triggers]\ntimer_sleep_ms_max = 0", "triggers.timer_sleep_ms_max"),
            ("[triggers]\nrate_per_minute_max = 0", "triggers.rate_per_minute_max"),
            ("[volumes]\nroots = ['relative']", "[volumes] roots"),
            ("[volumes]\nroots = ['/']", "[volumes] roots"),
            ("[volumes]\nuser_id_min = 0", "[volumes] user_id_min"),
            ("[connections.a]\nkind = 'http'", "connections.a.url"),
            ("[events]\nfunction_rows_max = 0", "events.function_rows_max"),
            ("[gateway]\nhook_confirm_hosts = ['http://a b']", "gateway.hook_confirm_hosts"),
            ("[gateway]\ndomains = ['*', 'a b']", "gateway.domains"),
            ("[outbound]\nhosts_allowed = ['*']", "outbound.hosts_allowed"),
            ("[outbound]\nhosts_allowed = ['http://x']", "outbound.hosts_allowed"),
            ("[gateway.async]\nbody_bytes_max = 0", "gateway.async.body_bytes_max"),
            ("[secrets]\nkey_file = '/a'\nkey_command = 'cat /a'", "[secrets] key_command"),
            ("[launcher]\nruntime = 'none-such'", "none-such"),
        ] {
            let said = refusal(file).expect(file);
            assert!(said.contains(setting), "{file}: {said}");
        }
    }

    #[test]
    fn files_of_connections_that_cannot_be_read_are_named() {
        figment::Jail::expect_with(|jail| {
            let s3 = "kind = 's3'\nendpoint = 'http://127.0.0.1:9000'\naccess_key = 'AK'\n";
            let text = format!(
                "[connections.there]\n{s3}secret_key_file = 'key'\n[connections.gone]\n\
                 {s3}secret_key_file = '/none/key'\n[connections.http]\nkind = 'http'\n\
                 url = 'https://a.example.com/'\nbearer_file = '/none/token'\n"
            );
            jail.create_file("key", "secret")?;
            jail.create_file("s.toml", &text)?;
            let args = UpArgs { config: Some("s.toml".into()), ..UpArgs::default() };
            let warnings = settings::warnings(&settings::load(&args).map_err(|error| error.to_string())?);
            assert_eq!(warnings.len(), 2, "{warnings:?}");
            assert!(
                warnings[0].starts_with("connections.gone.secret_key_file: cannot read /none/key: "),
                "{warnings:?}"
            );
            assert!(warnings[1].starts_with("connections.http.bearer_file: cannot read /none/token: "), "{warnings:?}");
            Ok(())
        });
    }

    #[test]
    fn certificates_are_read_where_an_address_for_tls_is_set() {
        let file = "[gateway.certificates.shop]\nchain_file = '/none/chain.pem'\nkey_file = '/none/key.pem'\n";
        assert_eq!(refusal(file), None);
        let said = refusal(&format!("gateway_tls_addr = '127.0.0.1:443'\n{file}")).expect("there is no such file");
        assert!(said.contains("certificate shop") && said.contains("/none/chain.pem"), "{said}");
    }
}
