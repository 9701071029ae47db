//! Ranges of IPv6 addresses: reading, comparing, and joining. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use types::egress::IpRange;

/// Bits of an IPv6 address before the IPv4 address that it ends with.
pub const BITS_BEFORE_V4: u8 = 96;

/// Addresses that share their first bits: `fd73:616d:7061:6e00::/96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet6 {
    first: u128,
    prefix_bits: u8,
}

impl Subnet6 {
    /// The range of `prefix_bits` that an address is in.
    pub fn of(address: Ipv6Addr, prefix_bits: u8) -> Self {
        let prefix_bits = prefix_bits.min(128);
        Self { first: u128::from(address) & mask(prefix_bits), prefix_bits }
    }

    /// How many bits its addresses share.
    pub fn prefix_bits(self) -> u8 {
        self.prefix_bits
    }

    /// Its lowest address.
    pub fn first(self) -> Ipv6Addr {
        self.first.into()
    }

    /// The bits that are shared.
    pub fn mask(self) -> Ipv6Addr {
        mask(self.prefix_bits).into()
    }

    /// Whether it has the address.
    pub fn contains(self, address: Ipv6Addr) -> bool {
        u128::from(address) & mask(self.prefix_bits) == self.first
    }

    /// The address of it that ends with an IPv4 address; of a range of 96 bits, every one is
    /// another.
    pub fn with(self, address: Ipv4Addr) -> Ipv6Addr {
        (self.first | u128::from(u32::from(address))).into()
    }
}

/// Ranges as pairs of first and last address, in order, those that overlap or touch made one.
pub fn joined6(ranges: &[Subnet6]) -> Vec<(Ipv6Addr, Ipv6Addr)> {
    let mut ranges = ranges.to_vec();
    ranges.sort_unstable();
    let mut joined: Vec<(u128, u128)> = Vec::new();
    for range in ranges {
        let last = range.first | !mask(range.prefix_bits);
        match joined.last_mut() {
            Some(before) if range.first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => joined.push((range.first, last)),
        }
    }
    joined.into_iter().map(|(first, last)| (first.into(), last.into())).collect()
}

fn mask(prefix_bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix_bits)).unwrap_or(0)
}

impl From<Subnet6> for IpRange {
    fn from(range: Subnet6) -> Self {
        Self::of(range.first().into(), range.prefix_bits)
    }
}

impl FromStr for Subnet6 {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range: IpRange = text.parse().map_err(|problem| format!("{text:?} {problem}"))?;
        match range.first() {
            IpAddr::V6(first) => Ok(Self::of(first, range.prefix_bits())),
            IpAddr::V4(_) => Err(format!("{text:?} is no range of IPv6 addresses such as fd00:1::/96")),
        }
    }
}

impl TryFrom<String> for Subnet6 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Subnet6> for String {
    fn from(range: Subnet6) -> Self {
        range.to_string()
    }
}

impl fmt::Display for Subnet6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first(), self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet6 {
        text.parse().expect("a range")
    }

    #[test]
    fn ranges_are_read_shown_and_joined() {
        for text in ["fd73:616d:7061:6e00::/96", "::/0", "2001:db8::7/128"] {
            assert_eq!(subnet(text).to_string(), text);
        }
        for (text, want) in [
            ("fd00::1/96", "did you mean fd00::/96?"),
            ("fd00::/129", "no range"),
            ("10.0.0.0/8", "no range of IPv6"),
            ("::ffff:10.0.0.1", "IPv4 address in IPv6 form"),
        ] {
            assert!(text.parse::<Subnet6>().expect_err("refused").contains(want), "{text}");
        }
        let pairs = joined6(&["fe80::/10", "fec0::/10", "::1/128", "::/128", "ff00::/8"].map(subnet));
        let shown: Vec<String> = pairs.into_iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let all_ones = "ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(shown, ["::-::1".to_owned(), format!("fe80::-ffff:{all_ones}")]);
    }

    #[test]
    fn an_address_ends_with_the_links_ipv4_address() {
        let address = subnet("fd73:616d:7061:6e00::/96").with([10, 222, 0, 3].into());
        assert_eq!(address.to_string(), "fd73:616d:7061:6e00::ade:3");
        assert!(subnet("fd73:616d:7061:6e00::/96").contains(address) && !subnet("fd00::/96").contains(address));
    }
}
