//! Sizes: memory in MB or with a unit, processor time in cores.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::args::size::{Cores as Thousandths, Megabytes};

/// Thousandths per core.
const MILLI: f64 = 1_000.0;

/// Reads a size: `512` or `8g`.
pub fn megabytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Ok(Option::<Size>::deserialize(deserializer)?.map(|Size(mb)| mb))
}

/// A size in MB.
pub struct Size(u32);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size, such as 512 (MB) or 8g")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Size, E> {
                u32::try_from(number).map(Size).map_err(|_| E::custom(format!("{number} MB is out of range")))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map(|Megabytes(mb)| Size(mb)).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// Processor time in thousandths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores(pub u32);

impl Serialize for Cores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_multiple_of(1_000) {
            return serializer.serialize_u32(self.0 / 1_000);
        }
        serializer.serialize_f64(f64::from(self.0) / MILLI)
    }
}

impl<'de> Deserialize<'de> for Cores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Cores;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of cores, such as 2 or 0.5")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Cores, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Cores, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Cores, E> {
                text.parse().map(|Thousandths(milli)| Cores(milli)).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::Size {
        fn schema_name() -> Cow<'static, str> {
            "Size".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "anyOf": [
                    { "type": ["integer"], "minimum": 0, "maximum": u32::MAX },
                    { "type": ["string"], "pattern": "^([0-9]+([mM]|[gG])?([iI]?[bB])?|.*\\$\\{.*)$" },
                ]
            })
        }
    }

    impl JsonSchema for super::Cores {
        fn schema_name() -> Cow<'static, str> {
            "Cores".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({ "type": ["number", "string"], "minimum": 0, "pattern": "^([0-9.]+|.*\\$\\{.*)$" })
        }
    }
}
