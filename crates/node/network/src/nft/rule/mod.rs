//! Rules of a chain: matches, then statements. Pure.

mod limits;
mod matches;
mod statements;

use super::expression::{Expression, payload};
use crate::netlink::Attributes;

pub use self::statements::ask_chain;

/// Bases of `payload`.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Offsets in the IPv4 header.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
/// Offsets in the IPv6 header.
const SOURCE_6: u32 = 8;
const DESTINATION_6: u32 = 24;

/// A rule under construction: matches, then statements. Methods append to it in order.
#[derive(Debug, Clone)]
pub struct Rule {
    steps: Vec<Expression>,
    /// Whose header matches on addresses read.
    family: Family,
}

/// Whose header a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4's.
    V4,
    /// IPv6's. Sets identify a source by the IPv4 address in its last 32 bits.
    V6,
}

impl Rule {
    /// A rule that matches every packet. Matches on addresses read the IPv4 header, so they must
    /// only see IPv4.
    pub fn new() -> Self {
        Self::of(Family::V4)
    }

    /// The same with matches on addresses that read the header of the given family.
    pub fn of(family: Family) -> Self {
        Self { steps: Vec::new(), family }
    }

    fn and(mut self, more: impl IntoIterator<Item = Expression>) -> Self {
        self.steps.extend(more);
        self
    }

    /// Loads the 32 bits by which sets identify a source.
    fn known_source(&self) -> Expression {
        match self.family {
            Family::V4 => payload(NETWORK_HEADER, SOURCE, 4),
            Family::V6 => payload(NETWORK_HEADER, SOURCE_6 + 12, 4),
        }
    }

    /// The list of its expressions, as rule messages contain it.
    pub fn expressions(self) -> Attributes {
        const ELEMENT: u16 = 1;
        self.steps.into_iter().fold(Attributes::new(), |list, one| list.nest(ELEMENT, one.attributes()))
    }
}
