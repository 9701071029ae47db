//! Ranges of addresses of either family. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Addresses of one family with a common prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    first: IpAddr,
    prefix_bits: u8,
}

impl IpRange {
    /// The range of `prefix_bits` that contains an address.
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

    /// Length of the common prefix.
    pub fn prefix_bits(self) -> u8 {
        self.prefix_bits
    }

    /// Whether it contains the address.
    pub fn contains(self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && Self::of(address, self.prefix_bits) == self
    }

    /// Whether another range contains all its addresses.
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

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix_bits == bits_of(self.first) {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}/{}", self.first, self.prefix_bits)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
