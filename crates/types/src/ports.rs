//! Ports of a machine, alone and in ranges: `3306`, `"5432-5440"`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A range of ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Whether it contains the port.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a port such as 3306 nor a range such as \"5432-5440\"");
        let port = |text: &str| text.trim().parse().ok().filter(|port| *port != 0).ok_or_else(wrong);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port(first)?, port(last)?);
        if first <= last { Ok(Self { first, last }) } else { Err(wrong()) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.first == self.last { serializer.serialize_u16(self.first) } else { serializer.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A number, or a text with one or two numbers.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Number(i64),
            Text(String),
        }
        let text = match Given::deserialize(deserializer)? {
            Given::Number(port) => port.to_string(),
            Given::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_or_ranges() {
        let ports: Vec<PortRange> = serde_json::from_str(r#"[3306, "5432-5440", "80"]"#).expect("ports");
        let has = |port| ports.iter().any(|range| range.contains(port));
        assert!([80, 3306, 5432, 5435, 5440].into_iter().all(has));
        assert!(![79, 81, 3305, 5431, 5441].into_iter().any(has));
        assert_eq!(serde_json::to_string(&ports).expect("written"), r#"[3306,"5432-5440",80]"#);
        for text in ["[0]", "[65536]", "[-1]", r#"["9-8"]"#, r#"["a"]"#, r#"["1-2-3"]"#, r#"[""]"#] {
            let error = serde_json::from_str::<Vec<PortRange>>(text).expect_err(text).to_string();
            assert!(error.contains("neither a port"), "{error}");
        }
    }
}
