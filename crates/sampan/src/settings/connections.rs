//! `[connections.NAME]`: external services that triggers and functions refer to by name.

use std::collections::BTreeMap;

use figment::Figment;
use figment::error::Kind;
use figment::value::Value;
use serde::{Deserialize, Serialize};

/// External service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Connection {
    /// An object store that speaks S3.
    S3(object_store::Connection),
    /// An HTTP endpoint for destinations of events.
    Http(outbound::Connection),
}

impl Connection {
    /// Returns the connections that are object stores.
    pub fn stores(connections: &BTreeMap<String, Self>) -> BTreeMap<String, object_store::Connection> {
        let store = |(name, connection): (&String, &Self)| match connection {
            Self::S3(store) => Some((name.clone(), store.clone())),
            Self::Http(_) => None,
        };
        connections.iter().filter_map(store).collect()
    }

    /// Returns the connections that are HTTP endpoints.
    pub fn endpoints(connections: &BTreeMap<String, Self>) -> BTreeMap<String, outbound::Connection> {
        let endpoint = |(name, connection): (&String, &Self)| match connection {
            Self::Http(endpoint) => Some((name.clone(), endpoint.clone())),
            Self::S3(_) => None,
        };
        connections.iter().filter_map(endpoint).collect()
    }
}

/// Checks `[connections]` before all other settings, so that an error names the key and the remedy
/// without the value, which may be a secret; figment's own message contains the value.
///
/// # Errors
/// The first invalid key.
pub fn check(figment: &Figment) -> Result<(), String> {
    let Ok(connections) = figment.find_value("connections") else { return Ok(()) };
    let Value::Dict(_, connections) = connections else {
        return Err("connections must be tables: [connections.NAME]".to_owned());
    };
    for (name, value) in connections {
        check_one(&value).map_err(|why| format!("connections.{name}{why}"))?;
    }
    Ok(())
}

fn check_one(value: &Value) -> Result<(), String> {
    let Value::Dict(tag, fields) = value else { return Err(" must be a table: [connections.NAME]".to_owned()) };
    let mut fields = fields.clone();
    let kind = fields.remove("kind");
    let fields = Value::Dict(*tag, fields);
    match kind.as_ref().and_then(Value::as_str) {
        Some("s3") => {
            let store: object_store::Connection = fields.deserialize().map_err(|error| wrong(&error))?;
            store.check().map_err(|wrong| format!(".{wrong}"))
        }
        Some("http") => fields.deserialize::<outbound::Connection>().map(drop).map_err(|error| wrong(&error)),
        _ => Err(".kind must be \"s3\" (an object store) or \"http\" (an endpoint)".to_owned()),
    }
}

/// Message about an invalid key, without its value.
fn wrong(error: &figment::Error) -> String {
    let key: String = error.path.iter().map(|part| format!(".{part}")).collect();
    // Only some errors have the field in their path.
    let named = |field: &str| match error.path.last() {
        Some(last) if last == field => key.clone(),
        _ => format!("{key}.{field}"),
    };
    match &error.kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("{key} must be {expected}"),
        Kind::UnknownField(field, known) => {
            format!("{} is not a key of this kind; use one of {}", named(field), known.join(", "))
        }
        Kind::MissingField(field) => format!("{} is missing", named(field)),
        _ => format!("{key} cannot be read"),
    }
}
