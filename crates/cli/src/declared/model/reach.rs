//! Model of volume mounts and of egress destinations.

use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::egress::Egress;

/// A volume mount in the form of `--mount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount(pub types::Mount);

impl Serialize for Mount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Mount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        types::Mount::parse(&String::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

/// Problem of an egress list without entries.
pub const NO_DESTINATIONS: &str = "an empty list does not say whether nothing or everything is meant";

/// Entries: a list, or a comma-separated text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entries(pub Vec<String>);

impl Entries {
    /// Normalizes destinations to the form of the platform's answers; `None` for all that the
    /// operator does not deny.
    ///
    /// # Errors
    /// The first invalid entry, or that there is none: a variable without a value must not open
    /// everything.
    pub fn egress(&self) -> Result<Option<Self>, String> {
        match self.0.as_slice() {
            [] => Err(NO_DESTINATIONS.to_owned()),
            [any] if any == "any" => Ok(None),
            entries => Ok(Some(Self(Egress::parse(entries).map_err(|error| error.to_string())?.entries()))),
        }
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list, or a text with commas between its entries")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Entries, E> {
                let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                Ok(Entries(entries.map(str::to_owned).collect()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element::<String>()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::Mount {
        fn schema_name() -> Cow<'static, str> {
            "Mount".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": ["string"], "pattern": "^([^:]+:/.*|.*\\$\\{.*)$" })
        }
    }

    impl JsonSchema for super::Entries {
        fn schema_name() -> Cow<'static, str> {
            "Entries".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "anyOf": [{ "type": ["string"] }, { "type": "array", "items": { "type": "string" } }] })
        }
    }
}
