//! Recognises settings among environment variables. Kubernetes adds variables for each Service;
//! those of a Service named `sampan…` have the settings' prefix too.

use std::sync::OnceLock;

use serde_json::Value;

use super::{ENV_PREFIX, Settings};

/// Variables with the prefix that are not settings.
const OF_CLIENTS_AND_TESTS: &[&str] = &[
    "secret_id",
    "secret_key",
    "secrets_key_file",
    "endpoint",
    "credentials",
    "bin",
    "hello",
    "hostile",
    "python",
    "scenes",
    "log",
    "config",
];
/// Whether a variable, named without the prefix, is a setting.
pub fn is_setting(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let sets = |key: &Key| match name.strip_prefix(&key.name) {
        Some(rest) => rest.is_empty() || (key.is_open && rest.starts_with("__")),
        None => false,
    };
    !OF_CLIENTS_AND_TESTS.contains(&name.as_str()) && keys().iter().any(sets)
}

/// Whether a variable, named without the prefix, is set to an empty value.
pub fn is_empty(name: &str) -> bool {
    let is_it = |variable: &std::ffi::OsStr| {
        let rest = variable.to_str().and_then(|variable| variable.strip_prefix(ENV_PREFIX));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(name))
    };
    std::env::vars_os().any(|(variable, value)| value.is_empty() && is_it(&variable))
}

/// Returns variables with the prefix that are neither settings nor from Kubernetes: probably
/// misspelt.
pub fn unknown() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<String> = names.filter(|name| name.strip_prefix(ENV_PREFIX).is_some_and(is_unknown)).collect();
    unknown.sort();
    unknown
}

fn is_unknown(name: &str) -> bool {
    !is_setting(name) && !OF_CLIENTS_AND_TESTS.contains(&name.to_ascii_lowercase().as_str()) && !is_of_service(name)
}

/// `PORT…` and `SERVICE_…` for a Service `sampan`, `X_PORT…` and `X_SERVICE_…` for a Service
/// `sampan-x`.
fn is_of_service(name: &str) -> bool {
    let word = |word: &str| name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
    word("PORT") || name.starts_with("SERVICE_") || name.contains("_SERVICE_") || {
        let port = name.find("_PORT").map(|at| &name[at + "_PORT".len()..]);
        port.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    }
}

/// A setting or table by its variable's name without prefix: `pool__keep_idle_s`.
struct Key {
    name: String,
    /// Whether keys below it have names chosen by users.
    is_open: bool,
}

/// Whether a setting of this name is outside all tables.
pub fn is_top_level(name: &str) -> bool {
    keys().iter().any(|key| key.name == name)
}

fn keys() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let settings = serde_json::to_value(Settings::default()).expect("settings are plain values");
        let mut keys = Vec::new();
        collect("", &settings, &mut keys);
        keys
    })
}

fn collect(table: &str, value: &Value, keys: &mut Vec<Key>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = if table.is_empty() { name.clone() } else { format!("{table}__{name}") };
        collect(&name, value, keys);
        let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        keys.push(Key { name, is_open: is_empty || value.is_null() || value.is_array() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_services_are_neither_settings_nor_unknown() {
        for name in [
            "PORT",
            "PORT_7070_TCP",
            "PORT_7070_TCP_ADDR",
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "GATEWAY_PORT",
            "GATEWAY_PORT_7080_TCP_PROTO",
            "GATEWAY_SERVICE_HOST",
            "POOL_SERVICE_PORT_API",
        ] {
            assert!(!is_setting(name) && !is_unknown(name), "{name}");
        }
    }

    #[test]
    fn no_setting_is_mistaken_for_a_service_variable() {
        for Key { name, .. } in keys() {
            assert!(!is_of_service(&name.to_ascii_uppercase()), "{name}");
            assert!(is_setting(name) || OF_CLIENTS_AND_TESTS.contains(&name.as_str()), "{name}");
        }
        assert!(is_setting("POOL__KEEP_IDLE_S") && is_setting("GATEWAY_TLS_ADDR"));
        assert!(is_setting("REGISTRIES__HOST__MIRRORS") && is_setting("GATEWAY__CERTIFICATES__NAME__KEY"));
    }

    #[test]
    fn misspelt_settings_are_unknown() {
        for name in ["POOL__KEEP_IDLE", "POOL_KEEP_IDLE_S", "GATEWAYADDR", "PORTS", "X_PORTAL", "SERVICE"] {
            assert!(is_unknown(name), "{name}");
        }
        assert!(!is_unknown("SECRET_ID") && !is_unknown("REGION"));
    }
}
