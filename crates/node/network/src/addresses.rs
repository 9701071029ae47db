//! Allocates addresses of a block to links. Pure.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use crate::subnet::Subnet;

/// Offset of the first address for links, after the network address, the name server and the
/// gateway.
const FIRST: u32 = 3;

/// The addresses of a block. A freed address is reused last, so that late packets for its previous
/// owner are least likely to reach another instance.
#[derive(Debug)]
pub struct Addresses {
    block: Subnet,
    next: u32,
    free: VecDeque<Ipv4Addr>,
}

/// An address for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// The address.
    pub address: Ipv4Addr,
    /// Whether another link had it.
    pub used: bool,
}

impl Addresses {
    /// All of a block.
    pub fn new(block: Subnet) -> Self {
        Self { block, next: FIRST, free: VecDeque::new() }
    }

    /// The name server's, which no link gets.
    pub fn name_server(&self) -> Ipv4Addr {
        self.block.at(1)
    }

    /// The address at which links reach the platform's gateway. It is not configured on the host:
    /// packet rules rewrite it (DNAT).
    pub fn gateway(&self) -> Ipv4Addr {
        self.block.at(2)
    }

    /// How many links can exist at once; the highest address, the broadcast address, stays unused.
    pub fn links_max(&self) -> u32 {
        self.block.span().saturating_sub(FIRST)
    }

    /// One that no link has.
    pub fn take(&mut self) -> Option<Given> {
        // Never-used addresses first, so that freed ones rest for as long as possible.
        if self.next < self.block.span() {
            self.next += 1;
            return Some(Given { address: self.block.at(self.next - 1), used: false });
        }
        self.free.pop_front().map(|address| Given { address, used: true })
    }

    /// Takes one back.
    pub fn give_back(&mut self, address: Ipv4Addr) {
        self.free.push_back(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_rest_as_long_as_can_be() {
        let mut addresses = Addresses::new(Subnet::of(Ipv4Addr::new(10, 1, 2, 0), 29));
        assert_eq!((addresses.name_server(), addresses.links_max()), (Ipv4Addr::new(10, 1, 2, 1), 4));
        assert_eq!(addresses.gateway(), Ipv4Addr::new(10, 1, 2, 2));
        let taken: Vec<Given> = std::iter::from_fn(|| addresses.take()).collect();
        assert_eq!(taken.iter().map(|given| given.address.octets()[3]).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert!(taken.iter().all(|given| !given.used));
        addresses.give_back(taken[3].address);
        addresses.give_back(taken[0].address);
        assert_eq!(addresses.take(), Some(Given { address: taken[3].address, used: true }));
        assert_eq!(addresses.take(), Some(Given { address: taken[0].address, used: true }));
        assert_eq!(addresses.take(), None);
    }
}
