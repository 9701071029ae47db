//! A rule of a chain: what must hold, then what happens. Pure.

mod limits;
mod matches;
mod statements;

use super::expression::{Expression, payload};
use crate::netlink::Attributes;

pub use self::statements::ask_chain;

/// Where `payload` begins.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// Offsets in the IPv4 header.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
/// And in that of IPv6.
const SOURCE_6: u32 = 8;
const DESTINATION_6: u32 = 24;

/// A rule: what must hold, then what happens. Rules are read in the order of a chain.
#[derive(Debug, Clone)]
pub struct Rule {
    steps: Vec<Expression>,
    /// Where what is said of addresses finds them.
    family: Family,
}

/// Whose header a rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4's.
    V4,
    /// IPv6's. Sources are known by the IPv4 address that theirs end with.
    V6,
}

impl Rule {
    /// Holds for every packet; what it says of addresses must be asked of IPv4 alone.
    pub fn new() -> Self {
        Self::of(Family::V4)
    }

    /// Holds for every packet; what it says of addresses must be asked of that family alone.
    pub fn of(family: Family) -> Self {
        Self { steps: Vec::new(), family }
    }

    fn and(mut self, more: impl IntoIterator<Item = Expression>) -> Self {
        self.steps.extend(more);
        self
    }

    /// Loads what sets know a source by.
    fn known_source(&self) -> Expression {
        match self.family {
            Family::V4 => payload(NETWORK_HEADER, SOURCE, 4),
            Family::V6 => payload(NETWORK_HEADER, SOURCE_6 + 12, 4),
        }
    }

    /// The list of its expressions.
    pub fn expressions(self) -> Attributes {
        const ELEMENT: u16 = 1;
        self.steps.into_iter().fold(Attributes::new(), |list, one| list.nest(ELEMENT, one.attributes()))
    }
}
