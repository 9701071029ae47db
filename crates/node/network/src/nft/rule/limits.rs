//! Matches of a rule for packets over a limit, counted per source or share in dynamic sets.

use super::{Rule, TRANSPORT_HEADER};
use crate::connections::SHARES;
use crate::netlink::Attributes;
use crate::nft::expression::{Expression, VALUE, only_bits, payload};

/// Inverts `connlimit` and `limit`: they match above the number instead of up to it.
const OVER: u32 = 1;

impl Rule {
    /// Matches if the source has more than `number` connections, counted in a set.
    pub fn over_connections(self, set: &str, number: u32) -> Self {
        self.by_source(set, count_over(number))
    }

    /// Matches if the share of all connections that the source port falls into has more than
    /// `number`, counted in a set.
    pub fn over_share(self, set: &str, number: u32) -> Self {
        // Without the lowest bit: programs that do not choose a port get even ones first.
        const SHARE: u16 = (SHARES as u16 - 1) << 1;
        self.and([payload(TRANSPORT_HEADER, 0, 2), only_bits(&SHARE.to_be_bytes()), counted(set, count_over(number))])
    }

    /// Matches if the source sends more than `number` packets per second, with bursts of as many,
    /// counted in a set.
    pub fn over_rate(self, set: &str, number: u32) -> Self {
        const SECOND: u64 = 1;
        const PACKETS: u32 = 0;
        let limit = Attributes::new()
            .with(1, &u64::from(number).to_be_bytes())
            .with(2, &SECOND.to_be_bytes())
            .network_number(3, number)
            .network_number(4, PACKETS)
            .network_number(5, OVER);
        self.by_source(set, Expression::new("limit", limit))
    }

    /// Matches what the counter of the source, an element of the set, matches.
    fn by_source(self, set: &str, counter: Expression) -> Self {
        let source = self.known_source();
        self.and([source, counted(set, counter)])
    }
}

/// Matches above this number of connections.
fn count_over(number: u32) -> Expression {
    Expression::new("connlimit", Attributes::new().network_number(1, number).network_number(2, OVER))
}

/// Applies the counter that a set keeps for the value in the register.
fn counted(set: &str, counter: Expression) -> Expression {
    let what = Attributes::new()
        .text(1, set)
        // Add, which is 0, keeps a counter that is there.
        .network_number(3, 0)
        .network_number(4, VALUE)
        .nest(7, counter.attributes());
    Expression::new("dynset", what)
}
