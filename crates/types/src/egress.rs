//! What a function may reach of the world outside: ranges of addresses and names, with ports. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{EGRESS_ENTRIES_MAX, HOST_LEN_MAX};

/// The list that allows nothing.
const NONE: &str = "none";
/// What stands before the domain of a name with any labels below it.
const ANY_BELOW: &str = "*.";
/// Longest label of a name (RFC 1035, 2.3.4).
const LABEL_LEN_MAX: usize = 63;

/// The list of a function: all that its instances may reach, within what the operator allows. An
/// empty list allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Egress(Vec<Destination>);

/// One entry: `10.0.0.0/8`, `192.0.2.7:5432`, `[2001:db8::/32]:443`, `*.example.com:8000-8999`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Where.
    pub host: Host,
    /// First and last port of TCP and UDP; every port, and ICMP echo, when not given.
    pub ports: Option<(u16, u16)>,
}

/// Addresses or names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Addresses that share their first bits.
    Range(IpRange),
    /// The addresses that answers to the function's own questions for a name have.
    Name(NamePattern),
}

/// Addresses of one family that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    first: IpAddr,
    prefix_bits: u8,
}

/// A host name, or all names below one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern {
    /// In lower case, without a final dot.
    domain: String,
    below: bool,
}

/// An entry that cannot be, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} {problem}")]
pub struct InvalidEgress {
    /// As it was written.
    pub entry: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Egress {
    /// The list that allows nothing.
    pub const fn nothing() -> Self {
        Self(Vec::new())
    }

    /// Reads a list; `none` alone allows nothing.
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

    /// What it allows.
    pub fn destinations(&self) -> &[Destination] {
        &self.0
    }

    /// First and last of the ports by which a name is on it; all where an entry says none.
    pub fn ports_of_name(&self, name: &str) -> Vec<(u16, u16)> {
        let of_name = self.0.iter().filter(|entry| matches!(&entry.host, Host::Name(pattern) if pattern.matches(name)));
        of_name.map(|entry| entry.ports.unwrap_or((1, u16::MAX))).collect()
    }

    /// The list as it is written, which [`Self::parse`] reads.
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

/// Host and ports of an entry; the host of an IPv6 range with ports stands in brackets.
fn split_ports(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or("has no ] behind its address")?;
        return match rest {
            "" => Ok((host, None)),
            _ => Ok((host, Some(rest.strip_prefix(':').ok_or("has something other than :PORT behind ]")?))),
        };
    }
    match text.split_once(':') {
        // More than one colon: an IPv6 range.
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

impl IpRange {
    /// The range of `prefix_bits` that an address is in.
    pub fn of(address: IpAddr, prefix_bits: u8) -> Self {
        let prefix_bits = prefix_bits.min(bits_of(address));
        let first = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix_bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from(u32::from(address) & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix_bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
            }
        };
        Self { first, prefix_bits }
    }

    /// Its lowest address.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// How many bits its addresses share.
    pub fn prefix_bits(self) -> u8 {
        self.prefix_bits
    }

    /// Whether it has the address.
    pub fn contains(self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && Self::of(address, self.prefix_bits) == self
    }

    /// Whether all its addresses are in another.
    pub fn is_within(self, other: Self) -> bool {
        self.prefix_bits >= other.prefix_bits && other.contains(self.first)
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for IpRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is no range of addresses such as 10.0.0.0/8 or 2001:db8::/32".to_owned();
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        if let IpAddr::V6(six) = address
            && let Some(four) = six.to_ipv4_mapped()
        {
            return Err(format!("is an IPv4 address in IPv6 form; write {four}"));
        }
        let bits = bits.map_or(Ok(bits_of(address)), |bits| bits.parse().map_err(|_| wrong()))?;
        let range = Self::of(address, bits);
        match () {
            () if bits > bits_of(address) => Err(wrong()),
            () if range.first != address => Err(format!("has bits beyond its prefix; did you mean {range}?")),
            () => Ok(range),
        }
    }
}

impl NamePattern {
    /// Whether a name, of any case and without a final dot, is meant.
    pub fn matches(&self, name: &str) -> bool {
        let Some(before) = name.len().checked_sub(self.domain.len()) else { return false };
        let Some((before, domain)) = name.split_at_checked(before) else { return false };
        domain.eq_ignore_ascii_case(&self.domain) && if self.below { before.ends_with('.') } else { before.is_empty() }
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (below, domain) = text.strip_prefix(ANY_BELOW).map_or((false, text), |domain| (true, domain));
        let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_label = |label: &str| {
            (1..=LABEL_LEN_MAX).contains(&label.len()) && label.bytes().all(of_name) && !label.starts_with('-')
        };
        // A last label of digits belongs to a mistyped address.
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let last = domain.rsplit('.').next().unwrap_or_default();
        if domain.len() > HOST_LEN_MAX || !domain.split('.').all(is_label) || is_number(last) {
            return Err("is neither a range of addresses nor a name such as db.example.com or *.example.com".to_owned());
        }
        Ok(Self { domain, below })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.ports) {
            (host, None) => write!(f, "{host}")?,
            (Host::Range(range), Some(_)) if range.first.is_ipv6() => write!(f, "[{range}]")?,
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

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix_bits == bits_of(self.first) {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}/{}", self.first, self.prefix_bits)
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { ANY_BELOW } else { "" }, self.domain)
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

    #[test]
    fn a_name_is_itself_and_a_star_is_all_below() {
        let matches = |pattern: &str, name: &str| pattern.parse::<NamePattern>().expect("a name").matches(name);
        assert!(matches("db.example.com", "DB.example.COM"));
        assert!(!matches("db.example.com", "x.db.example.com") && !matches("db.example.com", "example.com"));
        assert!(matches("*.example.com", "a.b.example.com") && matches("*.example.com", "a.example.com"));
        for other in ["example.com", "badexample.com", "example.com.evil.org", "", "ñexample.com"] {
            assert!(!matches("*.example.com", other), "{other}");
        }
    }

    #[test]
    fn a_range_knows_what_is_in_it() {
        let range = |text: &str| text.parse::<IpRange>().expect("a range");
        assert!(
            range("10.1.0.0/16").is_within(range("10.0.0.0/8")) && range("10.0.0.0/8").is_within(range("0.0.0.0/0"))
        );
        assert!(
            !range("10.0.0.0/8").is_within(range("10.1.0.0/16")) && !range("11.0.0.0/8").is_within(range("10.0.0.0/8"))
        );
        assert!(!range("::/0").is_within(range("0.0.0.0/0")) && !range("10.0.0.1").is_within(range("::/0")));
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
