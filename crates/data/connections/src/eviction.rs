//! Which connections make room for another when there are as many as may be: the longest idle of the biggest holder. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

/// Whoever holds connections, as far as addresses tell. A caller with IPv6 has a whole network of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// One address.
    V4(Ipv4Addr),
    /// The network of an address.
    V6(u64),
}

impl Holder {
    /// Of a client at an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// One connection.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Its id.
    pub id: u64,
    /// Whose it is.
    pub holder: Holder,
    /// For how long it has had no request, in milliseconds; nothing while it has one.
    pub idle_ms: Option<u64>,
}

#[derive(Default)]
struct Share {
    count: usize,
    idle: Vec<(u64, u64)>,
}

/// The connections that are closed next, in their order: idle ones of the holder of most connections, the longest idle first.
/// As many as leave it the biggest, `len_max` at most; none where every connection has a request.
pub fn victims(held: impl Iterator<Item = Held>, len_max: usize) -> Vec<u64> {
    let mut shares: HashMap<Holder, Share> = HashMap::new();
    for Held { id, holder, idle_ms } in held {
        let share = shares.entry(holder).or_default();
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
    /// Id, holder, and for how long it is idle.
    type Row = (u64, u8, Option<u64>);

    fn of(table: &[Row]) -> Vec<u64> {
        let held = table.iter().map(|(id, holder, idle_ms)| Held {
            id: *id,
            holder: Holder::V4([10, 0, 0, *holder].into()),
            idle_ms: *idle_ms,
        });
        victims(held, 3)
    }

    #[test]
    fn the_longest_idle_of_the_biggest_holder_goes_first() {
        let table: &[(&[Row], &[u64])] = &[
            (&[], &[]),
            (&[(1, 1, NONE), (2, 1, NONE), (3, 2, NONE)], &[]),
            (&[(1, 1, Some(5)), (2, 1, Some(9)), (3, 2, Some(100))], &[2]),
            (&[(1, 1, Some(5)), (2, 1, Some(9)), (3, 1, NONE), (4, 2, Some(100))], &[2, 1]),
            (&[(1, 1, Some(1)), (2, 1, Some(2)), (3, 1, Some(3)), (4, 1, Some(4)), (5, 1, Some(5))], &[5, 4, 3]),
            // Requests count as held, and the connections that have them stay.
            (&[(1, 1, NONE), (2, 1, NONE), (3, 1, Some(0)), (4, 2, Some(9)), (5, 2, Some(9))], &[3]),
            // The biggest holder that has something to give.
            (&[(1, 1, NONE), (2, 1, NONE), (3, 2, Some(7))], &[3]),
            // Of equals, the one that is idle longest.
            (&[(1, 1, Some(5)), (2, 2, Some(9)), (3, 3, Some(7))], &[2]),
        ];
        for (held, expected) in table {
            assert_eq!(of(held), *expected, "{held:?}");
        }
    }

    #[test]
    fn a_holder_is_an_address_or_a_network() {
        let holder = |text: &str| Holder::of(text.parse().expect("an address"));
        assert_eq!(holder("::ffff:10.0.0.1"), holder("10.0.0.1"));
        assert_ne!(holder("10.0.0.2"), holder("10.0.0.1"));
        assert_eq!(holder("2001:db8::1"), holder("2001:db8::ffff:ffff:ffff:1"));
        assert_ne!(holder("2001:db8::1"), holder("2001:db8:0:1::1"));
    }
}
