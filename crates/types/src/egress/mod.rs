//! Egress lists of functions: address ranges and names, with ports. Pure.

mod name;
mod range;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::name::NamePattern;
pub use self::range::IpRange;
use crate::limits::EGRESS_ENTRIES_MAX;

/// Text of the list that allows nothing.
const NONE: &str = "none";

/// Egress list of a function: all destinations of its instances, within the operator's limits. An
/// empty list allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Egress(Vec<Destination>);

/// One entry: `10.0.0.0/8`, `192.0.2.7:5432`, `[2001:db8::/32]:443`, `*.example.com:8000-8999`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Address range or names.
    pub host: Host,
    /// First and last port of TCP and UDP; without it all ports, and ICMP echo.
    pub ports: Option<(u16, u16)>,
}

/// Destination of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Addresses with a common prefix.
    Range(IpRange),
    /// Addresses in the DNS answers to the function's own queries for a name.
    Name(NamePattern),
}

/// An invalid entry with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} {problem}")]
pub struct InvalidEgress {
    /// The text of the entry.
    pub entry: String,
    /// The reason.
    pub problem: String,
}

impl Egress {
    /// The list that allows nothing.
    pub const fn nothing() -> Self {
        Self(Vec::new())
    }

    /// Parses a list; `none` alone allows nothing.
    pub fn parse<T: AsRef<str>>(entries: &[T]) -> Result<Self, InvalidEgress> {
        let invalid = |entry: &str, problem: String| InvalidEgress { entry: entry.to_owned(), problem };
        if let [only] = entries
            && only.as_ref() == NONE
        {
            return Ok(Self(Vec::new()));
        }
        let mut list: Vec<Destination> = Vec::new();
        for entry in entries.iter().map(AsRef::as_ref) {
            if entry == NONE {
                return Err(invalid(entry, "stands alone: it allows nothing".to_owned()));
            }
            let destination: Destination = entry.parse().map_err(|problem| invalid(entry, problem))?;
            if !list.contains(&destination) {
                list.push(destination);
            }
        }
        match entries.get(EGRESS_ENTRIES_MAX) {
            Some(beyond) => {
                Err(invalid(beyond.as_ref(), format!("is beyond the {EGRESS_ENTRIES_MAX} entries of a list")))
            }
            None if list.is_empty() => Err(invalid("", "is no entry; \"none\" allows nothing".to_owned())),
            None => Ok(Self(list)),
        }
    }

    /// The entries.
    pub fn destinations(&self) -> &[Destination] {
        &self.0
    }

    /// Allowed port ranges of a name; the full range for an entry without ports.
    pub fn ports_of_name(&self, name: &str) -> Vec<(u16, u16)> {
        let of_name = self.0.iter().filter(|entry| matches!(&entry.host, Host::Name(pattern) if pattern.matches(name)));
        of_name.map(|entry| entry.ports.unwrap_or((1, u16::MAX))).collect()
    }

    /// The list as texts, which [`Self::parse`] accepts.
    pub fn entries(&self) -> Vec<String> {
        match self.0.as_slice() {
            [] => vec![NONE.to_owned()],
            list => list.iter().map(Destination::to_string).collect(),
        }
    }
}

impl TryFrom<Vec<String>> for Egress {
    type Error = InvalidEgress;

    fn try_from(entries: Vec<String>) -> Result<Self, InvalidEgress> {
        Self::parse(&entries)
    }
}

impl From<Egress> for Vec<String> {
    fn from(egress: Egress) -> Self {
        egress.entries()
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, ports) = split_ports(text)?;
        let ports = ports.map(read_ports).transpose()?;
        Ok(Self { host: host.parse()?, ports })
    }
}

/// Splits host and ports of an entry; an IPv6 range with ports is in brackets.
fn split_ports(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or("has no ] behind its address")?;
        return match rest {
            "" => Ok((host, None)),
            _ => Ok((host, Some(rest.strip_prefix(':').ok_or("has something other than :PORT behind ]")?))),
        };
    }
    match text.split_once(':') {
        // More than one colon: an IPv6 range without ports.
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, ports)) => Ok((host, Some(ports))),
        None => Ok((text, None)),
    }
}

fn read_ports(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Ok((first, last)),
        _ => Err(format!("has {text:?} for its ports; use one of 1 to 65535, or FIRST-LAST")),
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.split_once('/').map_or(text, |(address, _)| address);
        if text.contains('/') || address.parse::<IpAddr>().is_ok() {
            return text.parse().map(Self::Range);
        }
        text.parse().map(Self::Name)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.ports) {
            (host, None) => write!(f, "{host}")?,
            (Host::Range(range), Some(_)) if range.first().is_ipv6() => write!(f, "[{range}]")?,
            (host, Some(_)) => write!(f, "{host}")?,
        }
        match self.ports {
            None => Ok(()),
            Some((first, last)) if first == last => write!(f, ":{first}"),
            Some((first, last)) => write!(f, ":{first}-{last}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => write!(f, "{range}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_read_and_written() {
        let written = [
            "10.0.0.0/8",
            "192.0.2.7:5432",
            "192.0.2.0/24:8000-8999",
            "2001:db8::/32",
            "[2001:db8::1]:443",
            "db.example.com:5432",
            "*.example.com",
            "_service._tcp.example.com",
        ];
        let list = Egress::parse(&written).expect("a list");
        assert_eq!(list.entries(), written);
        assert_eq!(serde_json::to_value(&list).expect("serializes"), serde_json::json!(written));
        let same = ["10.0.0.0/8", "DB.Example.com.", "db.example.com", "10.1.2.3/32", "10.1.2.3", "1.2.3.4:80-80"];
        let list = Egress::parse(&same).expect("a list");
        assert_eq!(list.entries(), ["10.0.0.0/8", "db.example.com", "10.1.2.3", "1.2.3.4:80"]);
        let none = Egress::parse(&["none"]).expect("a list");
        assert!(none.destinations().is_empty());
        assert_eq!(none.entries(), ["none"]);
    }

    #[test]
    fn an_entry_that_cannot_be_is_named_with_its_problem() {
        for (entries, want) in [
            (vec!["10.0.0.1/8"], "\"10.0.0.1/8\" has bits beyond its prefix; did you mean 10.0.0.0/8?"),
            (vec!["10.0.0.0/33"], "is no range of addresses"),
            (vec!["fe80::/129"], "is no range of addresses"),
            (vec!["10.0.0.256"], "is neither a range of addresses nor a name"),
            (vec!["10.0.0"], "is neither a range"),
            (vec!["db.example.com:0"], "has \"0\" for its ports"),
            (vec!["db.example.com:90-80"], "has \"90-80\" for its ports"),
            (vec!["db.example.com:https"], "for its ports"),
            (vec!["https://db.example.com"], "has \"//db.example.com\" for its ports"),
            (vec!["*.*.example.com"], "is neither"),
            (vec!["*"], "is neither"),
            (vec!["a..example.com"], "is neither"),
            (vec!["[2001:db8::1:443"], "has no ]"),
            (vec!["[2001:db8::1]443"], "something other than :PORT"),
            (vec!["::ffff:10.0.0.1"], "write 10.0.0.1"),
            (vec!["10.0.0.0/8", "none"], "\"none\" stands alone"),
            (vec![""], "is neither"),
            (vec![], "\"none\" allows nothing"),
            (vec!["a.example"; EGRESS_ENTRIES_MAX + 1], "is beyond the 64 entries"),
        ] {
            let error = Egress::parse(&entries).expect_err(want).to_string();
            assert!(error.contains(want), "{entries:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_so_that_it_reads_the_same(text in "[a-z0-9.:/*\\[\\]-]{1,24}") {
            if let Ok(destination) = text.parse::<Destination>() {
                prop_assert_eq!(destination.to_string().parse(), Ok(destination));
            }
        }
    }
}
