//! Settings of the platform, each with its origin. Flags override the environment, which overrides
//! the TOML file, which overrides defaults.
//!
//! Most tables are the `Config` of the crate of the same name; settings that belong to no crate are
//! defined here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::providers::{Env, Serialized};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};

use crate::args::UpArgs;
use crate::failure::{Exit, Failure};

mod checks;
mod connections;
mod control;
mod file;
mod files;
mod invalid;
mod variables;

use self::file::TomlFile;
pub use checks::{check, outbound, secrets_key, warnings};
pub use connections::Connection;
pub use control::{ControlConfig, MetricsAccess};
pub use variables::unknown as unknown_variables;

/// Prefix of environment variables: `[pool] keep_idle_s` is `SAMPAN_POOL__KEEP_IDLE_S`.
const ENV_PREFIX: &str = "SAMPAN_";
/// Default configuration file, optional.
const DEFAULT_FILE: &str = "/etc/sampan/sampan.toml";

/// Upper limit of `drain_s`, in seconds: the longest possible run.
const DRAIN_S_MAX: u64 = 86_400;

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Directory of all persistent data.
    pub data_dir: PathBuf,
    /// Address of API, registry, health and metrics, for trusted clients.
    pub control_addr: SocketAddr,
    /// Address for calls of functions.
    pub gateway_addr: SocketAddr,
    /// Optional address for calls over TLS.
    pub gateway_tls_addr: Option<SocketAddr>,
    /// Region shown to functions and clients.
    pub region: String,
    /// Account number shown to functions.
    pub app_id: String,
    /// User number shown to functions.
    pub uin: String,
    /// Longest graceful shutdown, in seconds.
    pub shutdown_grace_s: u64,
    /// Longest wait for running events before the shutdown begins, in seconds.
    pub drain_s: u64,
    /// `[control]`
    pub control: ControlConfig,
    /// `[store]`
    pub store: store::Config,
    /// `[image]`
    pub image: image::Config,
    /// `[sandbox]`
    pub sandbox: sandbox::Config,
    /// `[volumes]` and `[volumes.NAME]`
    pub volumes: volumes::Config,
    /// `[network]`
    pub network: sandbox::NetworkConfig,
    /// `[logs]`
    pub logs: logs::Config,
    /// `[pool]`
    pub pool: pool::Config,
    /// `[events]`
    pub events: events::Config,
    /// `[triggers]`
    pub triggers: sources::Config,
    /// `[outbound]`
    pub outbound: outbound::Config,
    /// `[launcher]`
    pub launcher: launcher::Config,
    /// `[invoke]`
    pub invoke: invoke::Config,
    /// `[gateway]`
    pub gateway: gateway::Config,
    /// `[registry]`
    pub registry: registry::Config,
    /// `[deploy]`
    pub deploy: deploy::Config,
    /// `[api]`
    pub api: api::Config,
    /// `[credentials]`
    pub credentials: credentials::Config,
    /// `[secrets]`
    pub secrets: secrets::Config,
    /// `[connections.NAME]`
    pub connections: BTreeMap<String, Connection>,
    /// `[registries."HOST"]`
    pub registries: BTreeMap<String, credentials::RegistrySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/sampan"),
            control_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)),
            gateway_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 7080)),
            gateway_tls_addr: None,
            region: "local".to_owned(),
            app_id: "1250000000".to_owned(),
            uin: "100000000001".to_owned(),
            shutdown_grace_s: 30,
            drain_s: 0,
            control: ControlConfig::default(),
            store: store::Config::default(),
            image: image::Config::default(),
            sandbox: sandbox::Config::default(),
            volumes: volumes::Config::default(),
            network: sandbox::NetworkConfig::default(),
            logs: logs::Config::default(),
            pool: pool::Config::default(),
            events: events::Config::default(),
            triggers: sources::Config::default(),
            outbound: outbound::Config::default(),
            launcher: launcher::Config::default(),
            invoke: invoke::Config::default(),
            gateway: gateway::Config::default(),
            registry: registry::Config::default(),
            deploy: deploy::Config::default(),
            api: api::Config::default(),
            credentials: credentials::Config::default(),
            secrets: secrets::Config::default(),
            connections: BTreeMap::new(),
            registries: BTreeMap::new(),
        }
    }
}

/// Command-line flags as a figment provider.
struct Flags<'a>(&'a UpArgs);

impl Provider for Flags<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("command line")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        let mut set = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                dict.insert(key.to_owned(), Value::from(value));
            }
        };
        set("data_dir", self.0.data_dir.as_ref().map(|d| d.display().to_string()));
        set("control_addr", self.0.control_addr.map(|a| a.to_string()));
        set("gateway_addr", self.0.gateway_addr.map(|a| a.to_string()));
        set("gateway_tls_addr", self.0.gateway_tls_addr.map(|a| a.to_string()));
        set("region", self.0.region.clone());
        if let Some(seconds) = self.0.drain {
            dict.insert("drain_s".to_owned(), Value::from(seconds));
        }
        Ok(Profile::Default.collect(dict))
    }
}

/// Reads and merges all sources.
pub fn load(args: &UpArgs) -> anyhow::Result<Settings> {
    read(&sources(args)?)
}

/// Effective setting with its origin.
#[derive(Debug, Serialize)]
pub struct Effective {
    /// Dotted key, such as `pool.keep_idle_s`.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// `default`, the file's path, the environment or the command line.
    pub origin: String,
}

/// Returns every effective setting, sorted by key.
pub fn effective(args: &UpArgs) -> anyhow::Result<Vec<Effective>> {
    let figment = sources(args)?;
    let settings = serde_json::to_value(read(&figment)?)?;
    let mut found = Vec::new();
    flatten(&figment, String::new(), settings, &mut found);
    found.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

fn flatten(figment: &Figment, key: String, value: serde_json::Value, found: &mut Vec<Effective>) {
    match value {
        serde_json::Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(figment, key, value, found);
            }
        }
        value => found.push(Effective { origin: origin(figment, &key), key, value }),
    }
}

fn origin(figment: &Figment, key: &str) -> String {
    // Registry names contain dots, so figment cannot find their keys by path.
    let table = || key.starts_with("registries.").then(|| figment.find_metadata("registries")).flatten();
    let Some(metadata) = figment.find_metadata(key).or_else(table) else { return "default".to_owned() };
    match &metadata.source {
        Some(figment::Source::File(path)) => path.display().to_string(),
        _ if metadata.name.contains("Settings") => "default".to_owned(),
        _ if metadata.name.contains("environment") => {
            format!("environment {ENV_PREFIX}{}", key.replace('.', "__").to_uppercase())
        }
        _ => metadata.name.to_string(),
    }
}

fn sources(args: &UpArgs) -> anyhow::Result<Figment> {
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    if let Some(path) = file(args)? {
        figment = figment.merge(TomlFile(path));
    }
    let is_set = |name: &str| variables::is_setting(name) && !variables::is_empty(name);
    let environment = Env::prefixed(ENV_PREFIX).filter(move |name| is_set(name.as_str())).split("__");
    Ok(figment.merge(environment).merge(Flags(args)))
}

fn file(args: &UpArgs) -> anyhow::Result<Option<PathBuf>> {
    let named = args
        .config
        .clone()
        .or_else(|| std::env::var_os("SAMPAN_CONFIG").filter(|file| !file.is_empty()).map(PathBuf::from));
    match named {
        Some(file) if file.is_file() => Ok(Some(file)),
        Some(file) if file.exists() => Err(Failure::new(
            Exit::Usage,
            format!("the configuration file {} is not a regular file", file.display()),
            "Name a regular file with --config or SAMPAN_CONFIG.",
        )
        .into()),
        Some(file) => Err(Failure::new(
            Exit::Usage,
            format!("configuration file {} does not exist", file.display()),
            "Name an existing file with --config, or leave it out.",
        )
        .into()),
        None => Ok(Path::new(DEFAULT_FILE).is_file().then(|| PathBuf::from(DEFAULT_FILE))),
    }
}

fn read(figment: &Figment) -> anyhow::Result<Settings> {
    connections::check(figment).map_err(|why| {
        let hint = "Correct it in the configuration file or its SAMPAN_CONNECTIONS__… variable; docs/TRIGGERS.md \
                    (Polling; Destinations and callbacks) has examples. A value that is all digits needs quotes.";
        Failure::new(Exit::Usage, format!("the configuration is invalid: {why}"), hint)
    })?;
    let settings: Settings = figment.extract().map_err(|error: figment::Error| {
        let (what, hint) = invalid::explained(error);
        Failure::new(Exit::Usage, format!("the configuration is invalid: {what}"), &hint)
    })?;
    if settings.drain_s > DRAIN_S_MAX {
        let message = format!("drain_s = {} is not allowed; use 0 to {DRAIN_S_MAX}", settings.drain_s);
        return Err(Failure::new(Exit::Usage, message, "`sampan config` shows where it is set.").into());
    }
    // Redirects of registries to ranges that are denied to instances are not followed.
    let denied = settings.network.denied.iter().map(|range| range.to_string().parse());
    let redirects_denied = denied.collect::<Result<_, _>>()?;
    Ok(Settings { image: image::Config { redirects_denied, ..settings.image }, ..settings })
}

#[cfg(test)]
#[allow(clippy::result_large_err)] // figment's `Jail` fixes the error type.
mod tests {
    use super::*;

    #[test]
    fn flags_override_the_environment_which_overrides_the_file() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("s.toml", "region = 'file'\nuin = '7'\n[pool]\nkeep_idle_s = 5\n")?;
            jail.set_env("SAMPAN_REGION", "environment");
            jail.set_env("SAMPAN_POOL__KEEP_IDLE_S", "6");
            jail.set_env("SAMPAN_SECRET_ID", "is no setting");
            // An empty variable counts as unset.
            jail.set_env("SAMPAN_APP_ID", "");
            // Variables of a Kubernetes Service named `sampan`, and a misspelt setting.
            jail.set_env("SAMPAN_PORT", "tcp://10.96.0.7:7070");
            jail.set_env("SAMPAN_SERVICE_HOST", "10.96.0.7");
            jail.set_env("SAMPAN_POOL__KEEP_IDLE", "6");
            let args = UpArgs { config: Some("s.toml".into()), region: Some("flag".to_owned()), ..UpArgs::default() };
            let all = effective(&args).map_err(|e| e.to_string())?;
            let of = |key: &str| {
                let one = all.iter().find(|e| e.key == key).expect("every setting is listed");
                (one.value.to_string(), one.origin.clone())
            };
            assert_eq!(of("region"), ("\"flag\"".to_owned(), "command line".to_owned()));
            assert_eq!(of("pool.keep_idle_s"), ("6".to_owned(), "environment SAMPAN_POOL__KEEP_IDLE_S".to_owned()));
            assert!(of("uin").1.ends_with("s.toml"), "{}", of("uin").1);
            assert_eq!(of("app_id").1, "default");
            assert_eq!(unknown_variables(), ["SAMPAN_POOL__KEEP_IDLE"]);
            Ok(())
        });
    }

    #[test]
    fn a_registry_of_the_file_is_listed_with_its_origin() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("s.toml", "[registries.\"r.example.com:5000\"]\nmirrors = ['https://m.example.com']\n")?;
            jail.set_env("SAMPAN_CREDENTIALS", "/a/file/for/clients");
            jail.set_env("SAMPAN_CREDENTIALS__TCR_REGION", "ap-hongkong");
            let args = UpArgs { config: Some("s.toml".into()), ..UpArgs::default() };
            let settings = load(&args).map_err(|e| e.to_string())?;
            assert_eq!(settings.registries["r.example.com:5000"].mirrors, ["https://m.example.com"]);
            assert_eq!(settings.credentials.tcr_region, "ap-hongkong");
            let all = effective(&args).map_err(|e| e.to_string())?;
            let mirrors = all.iter().find(|e| e.key.ends_with("5000.mirrors")).expect("it is listed");
            assert!(mirrors.origin.ends_with("s.toml"), "{}", mirrors.origin);
            Ok(())
        });
    }

    #[test]
    fn a_file_that_is_no_toml_is_named_with_the_line() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("s.toml", "region = 'a'\n[pool\n")?;
            let args = UpArgs { config: Some("s.toml".into()), ..UpArgs::default() };
            let error = load(&args).expect_err("a bracket is missing").to_string();
            assert!(error.contains("line 2") && error.contains("s.toml"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn an_unknown_key_is_named_in_the_error() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("s.toml", "[pool]\nkeep_idle = 5\n")?;
            let args = UpArgs { config: Some("s.toml".into()), ..UpArgs::default() };
            let error = load(&args).expect_err("the key does not exist").to_string();
            assert!(error.contains("keep_idle"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn errors_of_connections_name_the_key_and_never_show_a_secret() {
        let store = "endpoint = 'http://127.0.0.1:9000'\naccess_key = 'AK'\n";
        for (text, expected) in [
            (format!("kind = 's3'\n{store}"), "connections.store.secret_key_file is missing"),
            (format!("kind = 's3'\n{store}secret_key = 8675309\n"), "connections.store.secret_key must be a string"),
            (format!("kind = 's3'\n{store}secret_key = ''\n"), "connections.store.secret_key is empty"),
            (format!("kind = 's3'\n{store}secret = '8675309'\n"), "connections.store.secret is not a key of this kind"),
            (format!("{store}secret_key = '8675309'\n"), "connections.store.kind must be \"s3\""),
            (format!("kind = 's4'\n{store}"), "connections.store.kind must be \"s3\""),
            ("kind = 's3'\nsecret_key = '8675309'\n".to_owned(), "connections.store.endpoint is missing"),
            (format!("kind = 's3'\n{store}secret_key = '8675309\n"), "line 5"),
            ("kind = 'http'\nurl = 8675309\n".to_owned(), "connections.store.url must be a string"),
        ] {
            figment::Jail::expect_with(|jail| {
                jail.create_file("s.toml", &format!("[connections.store]\n{text}"))?;
                let args = UpArgs { config: Some("s.toml".into()), ..UpArgs::default() };
                let error = load(&args).expect_err(&text);
                let failure = Failure::of(&error);
                assert!(failure.to_string().contains(expected), "{failure}");
                assert!(!failure.to_string().contains("8675309") && !failure.hint().is_empty(), "{failure}");
                Ok(())
            });
        }
    }
}
