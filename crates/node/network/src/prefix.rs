//! Addresses of one family that share their first bits: reading, comparing, and joining. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use types::egress::IpRange;

/// An address of one family, as the number that its bits are.
pub trait Address: Copy + Ord + fmt::Display {
    /// How many bits it has.
    const BITS: u8;
    /// The family, and a range of it, for errors.
    const FAMILY: &'static str;

    /// The address, unless it is of the other family.
    fn of_family(address: IpAddr) -> Option<Self>;

    /// Its bits.
    fn number(self) -> u128;

    /// The address with these bits, of which there are no more than [`Self::BITS`].
    fn from_number(number: u128) -> Self;
}

impl Address for Ipv4Addr {
    const BITS: u8 = 32;
    const FAMILY: &'static str = "IPv4 addresses such as 10.222.0.0/16";

    fn of_family(address: IpAddr) -> Option<Self> {
        if let IpAddr::V4(address) = address { Some(address) } else { None }
    }

    fn number(self) -> u128 {
        self.to_bits().into()
    }

    fn from_number(number: u128) -> Self {
        Self::from_bits(number as u32)
    }
}

impl Address for Ipv6Addr {
    const BITS: u8 = 128;
    const FAMILY: &'static str = "IPv6 addresses such as fd00:1::/96";

    fn of_family(address: IpAddr) -> Option<Self> {
        if let IpAddr::V6(address) = address { Some(address) } else { None }
    }

    fn number(self) -> u128 {
        self.to_bits()
    }

    fn from_number(number: u128) -> Self {
        Self::from_bits(number)
    }
}

/// Addresses that share their first bits: `10.222.0.0/16`, `fd73:616d:7061:6e00::/96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "A: Address")]
pub struct Prefix<A> {
    first: A,
    prefix_bits: u8,
}

impl<A: Address> Prefix<A> {
    /// The range of `prefix_bits` that an address is in.
    pub fn of(address: A, prefix_bits: u8) -> Self {
        let prefix_bits = prefix_bits.min(A::BITS);
        Self { first: A::from_number(address.number() & mask::<A>(prefix_bits)), prefix_bits }
    }

    /// How many bits its addresses share.
    pub fn prefix_bits(self) -> u8 {
        self.prefix_bits
    }

    /// Its lowest address.
    pub fn first(self) -> A {
        self.first
    }

    /// Its highest address.
    pub fn last(self) -> A {
        A::from_number(self.first.number() | (all::<A>() ^ mask::<A>(self.prefix_bits)))
    }

    /// The bits that are shared.
    pub fn mask(self) -> A {
        A::from_number(mask::<A>(self.prefix_bits))
    }

    /// Whether it has the address.
    pub fn contains(self, address: A) -> bool {
        address.number() & mask::<A>(self.prefix_bits) == self.first.number()
    }

    /// Whether it and another have addresses in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first()) || other.contains(self.first())
    }
}

/// An address with all bits set.
fn all<A: Address>() -> u128 {
    u128::MAX >> (u128::BITS - u32::from(A::BITS))
}

/// An address with the first bits set.
fn mask<A: Address>(prefix_bits: u8) -> u128 {
    all::<A>() ^ all::<A>().checked_shr(prefix_bits.into()).unwrap_or(0)
}

/// Ranges as pairs of first and last address, in order, those that overlap or touch made one.
pub fn joined<A: Address>(ranges: &[Prefix<A>]) -> Vec<(A, A)> {
    let mut ranges = ranges.to_vec();
    ranges.sort_unstable();
    let mut joined: Vec<(A, A)> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some((_, last)) if range.first.number() <= last.number().saturating_add(1) => {
                *last = range.last().max(*last);
            }
            _ => joined.push((range.first, range.last())),
        }
    }
    joined
}

impl<A: Address> FromStr for Prefix<A> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range: IpRange = text.parse().map_err(|problem| format!("{text:?} {problem}"))?;
        let first = A::of_family(range.first()).ok_or_else(|| format!("{text:?} is no range of {}", A::FAMILY))?;
        Ok(Self::of(first, range.prefix_bits()))
    }
}

impl<A: Address> TryFrom<String> for Prefix<A> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl<A: Address> From<Prefix<A>> for String {
    fn from(range: Prefix<A>) -> Self {
        range.to_string()
    }
}

impl<A: Address> fmt::Display for Prefix<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn four(text: &str) -> Prefix<Ipv4Addr> {
        text.parse().expect("a range")
    }

    fn six(text: &str) -> Prefix<Ipv6Addr> {
        text.parse().expect("a range")
    }

    #[test]
    fn ranges_of_ipv4_are_read_and_shown() {
        for text in ["10.222.0.0/16", "0.0.0.0/0", "192.0.2.7/32"] {
            assert_eq!(four(text).to_string(), text);
        }
        assert_eq!(four("192.0.2.7"), four("192.0.2.7/32"));
        for (text, want) in
            [("10.0.0.1/8", "did you mean 10.0.0.0/8?"), ("10.0.0.0/33", "no range"), ("fe80::/10", "no range")]
        {
            assert!(text.parse::<Prefix<Ipv4Addr>>().expect_err("refused").contains(want), "{text}");
        }
    }

    #[test]
    fn ranges_of_ipv6_are_read_shown_and_joined() {
        for text in ["fd73:616d:7061:6e00::/96", "::/0", "2001:db8::7/128"] {
            assert_eq!(six(text).to_string(), text);
        }
        for (text, want) in [
            ("fd00::1/96", "did you mean fd00::/96?"),
            ("fd00::/129", "no range"),
            ("10.0.0.0/8", "no range of IPv6"),
            ("::ffff:10.0.0.1", "IPv4 address in IPv6 form"),
        ] {
            assert!(text.parse::<Prefix<Ipv6Addr>>().expect_err("refused").contains(want), "{text}");
        }
        let pairs = joined(&["fe80::/10", "fec0::/10", "::1/128", "::/128", "ff00::/8"].map(six));
        let shown: Vec<String> = pairs.into_iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let all_ones = "ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(shown, ["::-::1".to_owned(), format!("fe80::-ffff:{all_ones}")]);
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = ["10.0.1.0/24", "10.0.0.0/24", "10.0.0.128/25", "224.0.0.0/4", "240.0.0.0/4"].map(four);
        let pairs = joined(&ranges).into_iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>();
        assert_eq!(pairs, ["10.0.0.0-10.0.1.255", "224.0.0.0-255.255.255.255"]);
    }

    proptest! {
        #[test]
        fn joining_keeps_every_address_and_adds_none(
            ranges in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..12),
            probe in any::<u32>(),
        ) {
            let prefix = |(address, bits): (u32, u8)| Prefix::of(Ipv4Addr::from(address), bits);
            let ranges: Vec<Prefix<Ipv4Addr>> = ranges.into_iter().map(prefix).collect();
            let pairs = joined(&ranges);
            prop_assert!(pairs.windows(2).all(|two| u32::from(two[0].1) + 1 < u32::from(two[1].0)));
            let ends = ranges.iter().flat_map(|range| [range.first(), range.last()]);
            for address in ends.chain([Ipv4Addr::from(probe)]) {
                let before = ranges.iter().any(|range| range.contains(address));
                prop_assert_eq!(before, pairs.iter().any(|(first, last)| (*first..=*last).contains(&address)));
            }
        }
    }
}
