//! Which idle connections are closed when the table is full: the longest idle of the client network
//! that has the most connections. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// The unit of fairness among clients: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientNetwork {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// The upper 64 bits of an IPv6 address.
    V6(u64),
}

impl ClientNetwork {
    /// The network of a client's address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// An open connection.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Its id in the table.
    pub id: u64,
    /// Network of its client.
    pub network: ClientNetwork,
    /// Milliseconds since its last request ended; `None` while a request is in flight.
    pub idle_ms: Option<u64>,
}

#[derive(Default)]
struct Share {
    count: usize,
    idle: Vec<(u64, u64)>,
}

/// The connections to close next, in order: idle ones of the network with the most connections,
/// longest idle first. At most `len_max`, and only as many as leave it the largest; empty where
/// every connection has a request.
pub fn choose(candidates: impl Iterator<Item = Candidate>, len_max: usize) -> Vec<u64> {
    let mut shares: HashMap<ClientNetwork, Share> = HashMap::new();
    for Candidate { id, network, idle_ms } in candidates {
        let share = shares.entry(network).or_default();
        share.count += 1;
        share.idle.extend(idle_ms.map(|idle_ms| (idle_ms, id)));
    }
    let mut shares: Vec<Share> = shares.into_values().filter(|share| !share.idle.is_empty()).collect();
    for share in &mut shares {
        share.idle.sort_unstable_by_key(|(idle_ms, id)| (std::cmp::Reverse(*idle_ms), *id));
    }
    shares.sort_by_key(|share| std::cmp::Reverse((share.count, share.idle[0].0)));
    let Some(biggest) = shares.first() else { return Vec::new() };
    let lead = biggest.count - shares.get(1).map_or(0, |second| second.count);
    biggest.idle.iter().take(lead.clamp(1, len_max.max(1))).map(|(_, id)| *id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Option<u64> = None;
    /// Id, network, idle time.
    type Row = (u64, u8, Option<u64>);

    fn of(table: &[Row]) -> Vec<u64> {
        let candidates = table.iter().map(|(id, network, idle_ms)| Candidate {
            id: *id,
            network: ClientNetwork::V4([10, 0, 0, *network].into()),
            idle_ms: *idle_ms,
        });
        choose(candidates, 3)
    }

    #[test]
    fn the_longest_idle_connection_of_the_largest_network_goes_first() {
        let table: &[(&[Row], &[u64])] = &[
            (&[], &[]),
            (&[(1, 1, NONE), (2, 1, NONE), (3, 2, NONE)], &[]),
            (&[(1, 1, Some(5)), (2, 1, Some(9)), (3, 2, Some(100))], &[2]),
            (&[(1, 1, Some(5)), (2, 1, Some(9)), (3, 1, NONE), (4, 2, Some(100))], &[2, 1]),
            (&[(1, 1, Some(1)), (2, 1, Some(2)), (3, 1, Some(3)), (4, 1, Some(4)), (5, 1, Some(5))], &[5, 4, 3]),
            // Connections with requests count towards a network's share, and are not closed.
            (&[(1, 1, NONE), (2, 1, NONE), (3, 1, Some(0)), (4, 2, Some(9)), (5, 2, Some(9))], &[3]),
            // The largest network that has an idle connection.
            (&[(1, 1, NONE), (2, 1, NONE), (3, 2, Some(7))], &[3]),
            // Among equals, the longest idle.
            (&[(1, 1, Some(5)), (2, 2, Some(9)), (3, 3, Some(7))], &[2]),
        ];
        for (candidates, expected) in table {
            assert_eq!(of(candidates), *expected, "{candidates:?}");
        }
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_64() {
        let network = |text: &str| ClientNetwork::of(text.parse().expect("an address"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.2"), network("10.0.0.1"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:ffff:ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }
}
