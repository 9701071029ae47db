//! What rules are made of: load a value into the register, compare it, decide
//! (linux/netfilter/nf_tables.h). Pure.
//!
//! Every expression uses one register, but for a change of address and port: a rule is a row of
//! "load, compare" pairs, each of which ends the rule when it does not hold, and a verdict.

use crate::netlink::Attributes;

/// The registers: the verdict's, that of values, and one for an address beside a port.
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
    /// Of a kind, with its data.
    pub fn new(name: &str, data: Attributes) -> Self {
        const NAME: u16 = 1;
        const DATA: u16 = 2;
        Self(Attributes::new().text(NAME, name).nest(DATA, data))
    }

    /// As an element of a list or the only one.
    pub fn attributes(self) -> Attributes {
        self.0
    }
}

/// Loads what the kernel knows of the packet beside its bytes.
pub fn meta(key: u32) -> Expression {
    Expression::new("meta", Attributes::new().network_number(1, VALUE).network_number(2, key))
}

/// Loads what the kernel knows of the packet's connection.
pub fn ct(key: u32) -> Expression {
    Expression::new("ct", Attributes::new().network_number(1, VALUE).network_number(2, key))
}

/// Loads bytes of a header.
pub fn payload(base: u32, offset: u32, length: u32) -> Expression {
    let what = Attributes::new().network_number(1, VALUE).network_number(2, base);
    Expression::new("payload", what.network_number(3, offset).network_number(4, length))
}

/// Loads what the routes say of an address.
pub fn fib(result: u32, by: u32) -> Expression {
    Expression::new("fib", Attributes::new().network_number(1, VALUE).network_number(2, result).network_number(3, by))
}

/// A value, where one is wanted.
pub fn data(value: &[u8]) -> Attributes {
    Attributes::new().with(1, value)
}

/// Holds if the register compares so with a value.
pub fn compare(how: u32, value: &[u8]) -> Expression {
    Expression::new("cmp", Attributes::new().network_number(1, VALUE).network_number(2, how).nest(3, data(value)))
}

/// Keeps the bits of the register that are set in the mask.
pub fn only_bits(mask: &[u8]) -> Expression {
    let length = u32::try_from(mask.len()).expect("registers are short");
    let what = Attributes::new().network_number(1, VALUE).network_number(2, VALUE).network_number(3, length);
    Expression::new("bitwise", what.nest(4, data(mask)).nest(5, data(&vec![0; mask.len()])))
}

/// Holds if a set has the value in the register.
pub fn lookup(set: &str) -> Expression {
    Expression::new("lookup", Attributes::new().text(1, set).network_number(2, VALUE))
}
