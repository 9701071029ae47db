//! Expressions, the parts of rules: load a value into a register, compare it, decide
//! (linux/netfilter/nf_tables.h). Pure.
//!
//! All expressions share one register, except NAT to an address and port. A rule is a sequence of
//! "load, compare" pairs, each of which ends the rule on a mismatch, and statements.

use crate::netlink::Attributes;

/// The registers: for verdicts, for values, and a second one for an address with a port.
pub const VERDICT: u32 = 0;
pub const VALUE: u32 = 1;
pub const ADDRESS: u32 = 2;

/// How `cmp` compares.
pub const EQUAL: u32 = 0;
pub const NOT_EQUAL: u32 = 1;
pub const AT_MOST: u32 = 3;
pub const AT_LEAST: u32 = 5;

/// One step of a rule.
#[derive(Debug, Clone)]
pub struct Expression(Attributes);

impl Expression {
    /// An expression by the kernel's name, with its data.
    pub fn new(name: &str, data: Attributes) -> Self {
        const NAME: u16 = 1;
        const DATA: u16 = 2;
        Self(Attributes::new().text(NAME, name).nest(DATA, data))
    }

    /// Its attributes, as a list element or nested.
    pub fn attributes(self) -> Attributes {
        self.0
    }
}

/// Loads metadata of the packet.
pub fn meta(key: u32) -> Expression {
    Expression::new("meta", Attributes::new().network_number(1, VALUE).network_number(2, key))
}

/// Loads state of the packet's tracked connection.
pub fn ct(key: u32) -> Expression {
    Expression::new("ct", Attributes::new().network_number(1, VALUE).network_number(2, key))
}

/// Loads bytes of a header.
pub fn payload(base: u32, offset: u32, length: u32) -> Expression {
    let what = Attributes::new().network_number(1, VALUE).network_number(2, base);
    Expression::new("payload", what.network_number(3, offset).network_number(4, length))
}

/// Looks an address up in the routing tables and loads the result.
pub fn fib(result: u32, by: u32) -> Expression {
    Expression::new("fib", Attributes::new().network_number(1, VALUE).network_number(2, result).network_number(3, by))
}

/// A value as a nested attribute.
pub fn data(value: &[u8]) -> Attributes {
    Attributes::new().with(1, value)
}

/// Matches if the register compares this way with a value.
pub fn compare(how: u32, value: &[u8]) -> Expression {
    Expression::new("cmp", Attributes::new().network_number(1, VALUE).network_number(2, how).nest(3, data(value)))
}

/// Clears the bits of the register that are not set in the mask.
pub fn only_bits(mask: &[u8]) -> Expression {
    let length = u32::try_from(mask.len()).expect("registers are short");
    let what = Attributes::new().network_number(1, VALUE).network_number(2, VALUE).network_number(3, length);
    Expression::new("bitwise", what.nest(4, data(mask)).nest(5, data(&vec![0; mask.len()])))
}

/// Matches if a set contains the value in the register.
pub fn lookup(set: &str) -> Expression {
    Expression::new("lookup", Attributes::new().text(1, set).network_number(2, VALUE))
}
