//! Ranges of IPv6 addresses, and the address in one that ends with an IPv4 address. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use types::egress::IpRange;

use crate::prefix::Prefix;

/// Bits of an IPv6 address before the IPv4 address that it ends with.
pub const BITS_BEFORE_V4: u8 = 96;

/// A range of IPv6 addresses: `fd73:616d:7061:6e00::/96`.
pub type Subnet6 = Prefix<Ipv6Addr>;

impl Prefix<Ipv6Addr> {
    /// The address of it that ends with an IPv4 address; of a range of 96 bits, every one is
    /// another.
    pub fn with(self, address: Ipv4Addr) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.first().to_bits() | u128::from(address.to_bits()))
    }
}

impl From<Subnet6> for IpRange {
    fn from(range: Subnet6) -> Self {
        Self::of(range.first().into(), range.prefix_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet6 {
        text.parse().expect("a range")
    }

    #[test]
    fn an_address_ends_with_the_links_ipv4_address() {
        let address = subnet("fd73:616d:7061:6e00::/96").with([10, 222, 0, 3].into());
        assert_eq!(address.to_string(), "fd73:616d:7061:6e00::ade:3");
        assert!(subnet("fd73:616d:7061:6e00::/96").contains(address) && !subnet("fd00::/96").contains(address));
    }
}
