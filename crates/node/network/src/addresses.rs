//! Which address a link gets. Pure.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use crate::subnet::Subnet;

/// Offset of the first address that a link gets: the block's own, the name server's and the
/// gateway's come before.
const FIRST: u32 = 3;

/// The addresses of a block. One that is given back is the last to be given again: what the world
/// still sends to it is then least likely to find somebody else.
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

    /// Where links reach the platform's gateway; no address of the machine's, but one that packet
    /// rules change.
    pub fn gateway(&self) -> Ipv4Addr {
        self.block.at(2)
    }

    /// How many links there can be at once; the highest address stays free, as it is anywhere.
    pub fn links_max(&self) -> u32 {
        self.block.span().saturating_sub(FIRST)
    }

    /// One that no link has.
    pub fn take(&mut self) -> Option<Given> {
        // All that were never used first, so that the others rest.
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
