//! Limits that a rule holds beyond, by counters that a set keeps for each source or share.

use super::{Rule, TRANSPORT_HEADER};
use crate::connections::SHARES;
use crate::netlink::Attributes;
use crate::nft::expression::{Expression, VALUE, only_bits, payload};

/// `connlimit` and `limit` hold for more than the number, not for up to it.
const OVER: u32 = 1;

impl Rule {
    /// Is of a connection beyond the given number from its source; they are counted in a set.
    pub fn over_connections(self, set: &str, number: u32) -> Self {
        self.by_source(set, count_over(number))
    }

    /// Is of a connection beyond the given number in its share of all, by its source port; they are
    /// counted in a set.
    pub fn over_share(self, set: &str, number: u32) -> Self {
        // Without the lowest bit: programs that do not choose a port get even ones first.
        const SHARE: u16 = (SHARES as u16 - 1) << 1;
        self.and([payload(TRANSPORT_HEADER, 0, 2), only_bits(&SHARE.to_be_bytes()), counted(set, count_over(number))])
    }

    /// Is beyond the given number of packets in a second from its source, of which as many may come
    /// at once; they are counted in a set.
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

    /// What a source's own counter, which a set keeps, holds for.
    fn by_source(self, set: &str, counter: Expression) -> Self {
        let source = self.known_source();
        self.and([source, counted(set, counter)])
    }
}

/// Holds for connections beyond the number.
fn count_over(number: u32) -> Expression {
    Expression::new("connlimit", Attributes::new().network_number(1, number).network_number(2, OVER))
}

/// Asks the counter that a set keeps for the value in the register.
fn counted(set: &str, counter: Expression) -> Expression {
    let what = Attributes::new()
        .text(1, set)
        // Add, which is 0, keeps a counter that is there.
        .network_number(3, 0)
        .network_number(4, VALUE)
        .nest(7, counter.attributes());
    Expression::new("dynset", what)
}
