//! Changes of packet rules that the kernel applies atomically. Pure.

use std::net::{IpAddr, Ipv4Addr};

use super::chain::{Chain, Kind};
use super::message::{
    BEGIN, DELETE_CHAIN, DELETE_RULE, DELETE_SET, DELETE_SET_ELEMENT, DELETE_TABLE, END, GET_TABLE, NEW_CHAIN,
    NEW_RULE, NEW_SET, NEW_SET_ELEMENT, NEW_TABLE, fixed, message,
};
use super::rule::ask_chain;
use super::set::{Set, address_elements, element};
use crate::netlink::{Attributes, Message};

/// Changes to one table.
pub struct Transaction<'a> {
    table: &'a str,
    messages: Vec<Message>,
}

impl<'a> Transaction<'a> {
    /// An empty transaction.
    pub fn on(table: &'a str) -> Self {
        let begin =
            Message::new(BEGIN, 0, &fixed(libc::AF_UNSPEC, libc::NFNL_SUBSYS_NFTABLES as u16), Attributes::new());
        Self { table, messages: vec![begin] }
    }

    fn with(mut self, kind: u16, flags: i32, attributes: Attributes) -> Self {
        self.messages.push(message(kind, flags | libc::NLM_F_ACK, attributes));
        self
    }

    /// Makes the table, unless it exists.
    pub fn table(self) -> Self {
        let name = Attributes::new().text(1, self.table);
        self.with(NEW_TABLE, libc::NLM_F_CREATE, name)
    }

    /// Removes the table with all that is in it.
    pub fn remove_table(self) -> Self {
        let name = Attributes::new().text(1, self.table);
        self.with(DELETE_TABLE, 0, name)
    }

    /// Makes a chain, unless it exists, and appends its rules. Chains that it jumps to must come
    /// first.
    pub fn chain(self, chain: Chain<'_>) -> Self {
        let mut what = Attributes::new().text(1, self.table).text(3, chain.name);
        if let Some(hook) = chain.hook {
            let place = Attributes::new()
                .network_number(1, hook.place.cast_unsigned())
                .network_number(2, hook.priority.cast_unsigned());
            let kind = if hook.kind == Kind::Filter { "filter" } else { "nat" };
            what = what.nest(4, place).network_number(5, libc::NF_ACCEPT.cast_unsigned()).text(7, kind);
        }
        let table = self.table;
        let made = self.with(NEW_CHAIN, libc::NLM_F_CREATE, what);
        chain.rules.into_iter().fold(made, |changes, rule| {
            let what = Attributes::new().text(1, table).text(2, chain.name).nest(4, rule.expressions());
            changes.with(NEW_RULE, libc::NLM_F_CREATE | libc::NLM_F_APPEND, what)
        })
    }

    /// Removes all rules of a chain.
    pub fn empty_chain(self, name: &str) -> Self {
        let what = Attributes::new().text(1, self.table).text(2, name);
        self.with(DELETE_RULE, 0, what)
    }

    /// Makes a set, unless it exists, and adds its elements.
    pub fn set(self, set: &Set<'_>) -> Self {
        let id = u32::try_from(self.messages.len()).expect("few changes");
        let what = set.attributes(self.table, id);
        let made = self.with(NEW_SET, libc::NLM_F_CREATE, what);
        match set.elements() {
            Some(elements) => made.elements(NEW_SET_ELEMENT, set.name(), elements),
            None => made,
        }
    }

    /// Removes a set that no rule uses.
    pub fn remove_set(self, name: &str) -> Self {
        let what = Attributes::new().text(1, self.table).text(2, name);
        self.with(DELETE_SET, 0, what)
    }

    /// Removes a chain that no rule jumps to, with its rules.
    pub fn remove_chain(self, name: &str) -> Self {
        let what = Attributes::new().text(1, self.table).text(3, name);
        self.with(DELETE_CHAIN, 0, what)
    }

    /// Adds addresses to a set of addresses.
    pub fn add_addresses(self, set: &str, addresses: &[IpAddr]) -> Self {
        let list = address_elements(addresses);
        if addresses.is_empty() { self } else { self.elements(NEW_SET_ELEMENT, set, list) }
    }

    /// Removes addresses from a set of addresses.
    pub fn remove_addresses(self, set: &str, addresses: &[IpAddr]) -> Self {
        let list = address_elements(addresses);
        if addresses.is_empty() { self } else { self.elements(DELETE_SET_ELEMENT, set, list) }
    }

    /// Maps an address to a number.
    pub fn add_number(self, set: &str, address: Ipv4Addr, number: u32) -> Self {
        let value = Attributes::new().with(1, &number.to_ne_bytes());
        let list = Attributes::new().nest(1, element(&address.octets(), Some(value)));
        self.elements(NEW_SET_ELEMENT, set, list)
    }

    /// Removes the number of an address.
    pub fn remove_number(self, set: &str, address: Ipv4Addr) -> Self {
        self.elements(DELETE_SET_ELEMENT, set, Attributes::new().nest(1, element(&address.octets(), None)))
    }

    /// Maps a number to a jump to a chain.
    pub fn add_verdict(self, set: &str, number: u32, chain: &str) -> Self {
        let list = Attributes::new().nest(1, element(&number.to_ne_bytes(), Some(ask_chain(chain))));
        self.elements(NEW_SET_ELEMENT, set, list)
    }

    /// Removes the verdict of a number.
    pub fn remove_verdict(self, set: &str, number: u32) -> Self {
        self.elements(DELETE_SET_ELEMENT, set, Attributes::new().nest(1, element(&number.to_ne_bytes(), None)))
    }

    fn elements(self, kind: u16, set: &str, list: Attributes) -> Self {
        let what = Attributes::new().text(1, self.table).text(2, set).nest(3, list);
        let flags = if kind == NEW_SET_ELEMENT { libc::NLM_F_CREATE } else { 0 };
        self.with(kind, flags, what)
    }

    /// The messages, of which only the last requests an acknowledgement. The kernel reports
    /// failures in any case.
    pub fn messages_acknowledged_once(mut self) -> Vec<Message> {
        let last = self.messages.pop();
        self.messages = self.messages.into_iter().map(Message::unacknowledged).collect();
        self.messages.extend(last);
        self.messages()
    }

    /// The messages, to be sent in one batch.
    pub fn messages(mut self) -> Vec<Message> {
        let end = Message::new(END, 0, &fixed(libc::AF_UNSPEC, libc::NFNL_SUBSYS_NFTABLES as u16), Attributes::new());
        self.messages.push(end);
        self.messages
    }
}

/// A request that fails with `ENOENT` unless the table exists.
pub fn find_table(name: &str) -> Message {
    message(GET_TABLE, libc::NLM_F_ACK, Attributes::new().text(1, name))
}
