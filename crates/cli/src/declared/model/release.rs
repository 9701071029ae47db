//! Model of published versions, aliases and provisioned concurrency.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Function;

/// Number of a published version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionNumber(pub u32);

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for VersionNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VersionNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().ok().filter(|number| *number > 0 && !text.starts_with(['0', '+']));
        number.map(Self).ok_or_else(|| de::Error::custom(format!("{text:?} is not a version number, such as 1")))
    }
}

/// Keys of functions that versions do not have.
pub const OF_FUNCTIONS: [&str; 15] = [
    "type",
    "websocket",
    "async_run",
    "rerun",
    "runtime",
    "stop_grace",
    "init",
    "start_check",
    "tags",
    "events",
    "reserved",
    "publish",
    "versions",
    "aliases",
    "triggers",
];

/// A published version: image and settings at the time of its publication; omitted keys have their
/// defaults
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub Function);

/// Provisioned concurrency: instances of a published version that are kept ready
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Provisioned {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<At>,
}

impl Provisioned {
    /// Replaces an observed number that a scheduled time has set by the declared one.
    pub fn scheduled(self, declared: Option<&Self>) -> Self {
        let Some(declared) = declared.filter(|declared| declared.at == self.at) else { return self };
        let is_set = self.at.iter().any(|at| Some(at.number) == self.number);
        Self { number: if is_set { declared.number } else { self.number }, ..self }
    }
}

/// Number of instances from scheduled times on
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct At {
    /// Seven fields from second to year
    pub cron: String,
    /// Number of instances
    pub number: u32,
}

/// Provisioned concurrency: instances of a published version that are kept ready
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Provisioned", transform = super::rules::provisioned))]
#[serde(deny_unknown_fields)]
pub(super) struct ProvisionedKeys {
    /// Number of instances, instead of `utilization`
    number: Option<u32>,
    /// Target share of instances in use, such as 0.6; needs `max`
    utilization: Option<f64>,
    /// Minimum number of instances, with `utilization` [default: 1]
    min: Option<u32>,
    /// Maximum number of instances, with `utilization`
    max: Option<u32>,
    /// Numbers of instances from scheduled times on
    #[serde(default)]
    at: Vec<At>,
}

impl<'de> Deserialize<'de> for Provisioned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ProvisionedKeys { number, utilization, min, max, at } = ProvisionedKeys::deserialize(deserializer)?;
        let neither = utilization.is_none() && number.is_none() && at.is_empty();
        let both = utilization.is_some() && number.is_some();
        if utilization.is_some() != max.is_some() || neither || both {
            return Err(de::Error::custom("give `number`, or `utilization` and `max`"));
        }
        if utilization.is_none() && min.is_some() {
            return Err(de::Error::custom("`min` is for `utilization`"));
        }
        let min = utilization.map(|_| min.unwrap_or(1));
        let number = if utilization.is_some() { None } else { Some(number.unwrap_or(0)) };
        Ok(Self { number, utilization, min, max, at })
    }
}

/// An alias: a name for a version, with an optional second version by weight or by a header
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("not" = { "required": ["weights", "match"] })))]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// Number of a published version, `newest` for the last published one, or `$LATEST`
    pub version: String,
    /// Second version and its share of calls, such as { 2: 0.05 }
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
    pub weights: Option<BTreeMap<String, f64>>,
    /// Second version for requests whose header matches
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Free text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Alias {
    /// Whether some or all calls of the alias go to this version.
    pub fn leads_to(&self, version: &str) -> bool {
        let weighted = self.weights.as_ref().is_some_and(|weights| weights.contains_key(version));
        self.version == version || weighted || self.rule.as_ref().is_some_and(|rule| rule.version == version)
    }
}

/// Word for the last published version.
pub const NEWEST: &str = "newest";

/// A version for requests whose header has a given value, or a value in a range
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(extend("oneOf" = [{ "required": ["exact"] }, { "required": ["range"] }])))]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The version
    pub version: String,
    /// Name of the header
    pub header: String,
    /// Exact value of the header
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// Range of the header's value, such as '[10,20]'
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

/// Target of a path: a text, or a function with rewrites of the path
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub function: String,
    pub rewrites: Vec<Rewrite>,
}

/// A route with rewrites of the path
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct LongRoute {
    /// [NAMESPACE/]FUNCTION[:QUALIFIER]
    function: String,
    /// Rewrites of the path; the first that matches applies
    #[serde(default)]
    rewrites: Vec<Rewrite>,
}

/// A rewrite of a path
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Path to match, which may end in *
    pub path: String,
    /// Replacement, where $ stands for the text that * matched
    pub to: String,
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.rewrites.is_empty() {
            return serializer.serialize_str(&self.function);
        }
        let (function, rewrites) = (self.function.clone(), self.rewrites.clone());
        LongRoute { function, rewrites }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Route;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[NAMESPACE/]FUNCTION[:QUALIFIER], or `function` and `rewrites`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Route, E> {
                Ok(Route { function: text.to_owned(), rewrites: Vec::new() })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Route, A::Error> {
                let LongRoute { function, rewrites } = LongRoute::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Route { function, rewrites })
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::VersionNumber {
        fn schema_name() -> Cow<'static, str> {
            "VersionNumber".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": "string", "pattern": "^[1-9][0-9]*$" })
        }
    }

    impl JsonSchema for super::Version {
        fn schema_name() -> Cow<'static, str> {
            "Version".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let mut schema = super::Function::json_schema(generator);
            if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
                properties.retain(|key, _| !super::OF_FUNCTIONS.contains(&key.as_str()));
            }
            // Rules of functions; most involve keys that versions do not have.
            schema.remove("dependencies");
            schema.remove("allOf");
            let text = "A published version: image and settings at the time of its publication; omitted keys have \
                        their defaults";
            schema.insert("description".to_owned(), text.into());
            schema
        }
    }

    impl JsonSchema for super::Route {
        fn schema_name() -> Cow<'static, str> {
            "Route".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let long = generator.subschema_for::<super::LongRoute>();
            json_schema!({
                "description": "[NAMESPACE/]FUNCTION[:QUALIFIER], or an object with rewrites of the path",
                "anyOf": [{ "type": ["string"] }, long],
            })
        }
    }
}
