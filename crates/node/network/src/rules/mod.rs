//! The packet rules that decide what instances may reach and what may reach them. Pure.
//!
//! There is one table per platform, and its size does not depend on the number of instances: links
//! are matched by the prefix of their names, and source addresses are checked against the host's
//! routes (reverse path).
//!
//! ```text
//! asked    prerouting, raw   DNS queries to the name server are not tracked (nor its responses)
//! from     prerouting        IPv4 · own source · name server within a rate · host relay · not this
//!                            host · not denied · on the egress list · then `counted`
//! counted  -                 limits of connections · TCP, UDP and ping only
//! to       postrouting       replies and ICMP errors only
//! nat      postrouting       masquerades
//! host     prerouting, DNAT  TCP to the name server's address, and to the gateway's, goes to the
//!                            relay
//! ```
//!
//! Egress lists add two maps and some chains: `members` maps the address of an instance to the
//! number of its list, and `lists` maps that number to the chain of the list. The chain returns for
//! destinations on the list and otherwise goes to `refuse-listed`, which reports and rejects. IPv6
//! packets go from `from` to `from-6`, which checks the same; a list has a chain for each family,
//! found by the same number.
//!
//! An instance without a list has no entry in `members`, so its packets cost one failed lookup
//! until their connection is established.

mod chains;
mod denied;
mod guard;
mod lists;

use std::net::Ipv4Addr;

use crate::config::Config;
use crate::connections::Limits;
use crate::names::Names;
use crate::netlink::Message;
use crate::nft::{Chain, Family, Hook, Kind, Rule, Set, Transaction};
use crate::prefix::joined;
use crate::subnet::Subnet;

pub use self::denied::{denied, denied_6};
pub use self::guard::{GUARD_TABLE, GUARD_TABLE_6, guard, unguard};
use self::lists::{LISTS, LISTS_6, MEMBERS, REFUSALS, REFUSE_LISTED, REFUSE_LISTED_6, refuse_listed};
pub use self::lists::{add_list, add_member, remove_list, remove_member};

/// Port of name servers.
pub const DNS_PORT: u16 = 53;

/// Before connection tracking (-200).
const BEFORE_TRACKING: i32 = -300;
/// After connection tracking (-200) and before DNAT (-100): a port that another program publishes
/// on an address of this host is rejected by that address.
const BEFORE_DESTINATION_CHANGES: i32 = -150;
/// The usual priority of DNAT.
const DESTINATION_CHANGES: i32 = -100;
/// The usual priority of filters.
const FILTER: i32 = 0;
/// The usual priority of SNAT.
const SOURCE_CHANGES: i32 = 100;

const DENIED: &str = "denied";
const DENIED_6: &str = "denied-6";
const CONNECTIONS: &str = "connections";
const ASSURED: &str = "assured";
const SHARES: &str = "shares";
const QUESTIONS: &str = "questions";
const REFUSE: &str = "refuse";
const FROM_6: &str = "from-6";
const COUNTED: &str = "counted";
const COUNTED_6: &str = "counted-6";

/// What instances can reach on this host: DNS, and everything else by TCP.
#[derive(Debug, Clone, Copy)]
pub struct Here {
    /// The address of the name server and of the machine's ports.
    pub address: Ipv4Addr,
    /// The address of the platform's gateway, where they may reach it.
    pub gateway: Option<Ipv4Addr>,
    /// Port of the relay at `address`, which takes the connections to both.
    pub relay: u16,
    /// Whether links have IPv6 addresses too.
    pub has_v6: bool,
}

/// Installs the platform's table, in place of an existing one.
///
/// Refusals of what is not on a list are reported to `log_group`.
pub fn install<'a>(
    names: &'a Names,
    block: Subnet,
    here: Here,
    config: &Config,
    connections: Limits,
    log_group: Option<u16>,
) -> Transaction<'a> {
    let (links, name_server) = (&names.links, here.address);
    let asked = chains::both(|protocol| chains::asks(name_server, protocol).untracked()).to_vec();
    let answered = chains::both(|protocol| chains::answers(name_server, protocol).untracked()).to_vec();
    let changes = sets(Transaction::on(&names.table).table().remove_table().table(), config)
        .chain(called(REFUSE, chains::refuse()))
        .chain(called(REFUSE_LISTED, refuse_listed(Family::V4, log_group)))
        // DNS queries are exempt from connection tracking: each uses a port of its own and would
        // stay in the table for half a minute.
        .chain(filter("asked", libc::NF_INET_PRE_ROUTING, BEFORE_TRACKING, asked))
        .chain(filter("answered", libc::NF_INET_LOCAL_OUT, BEFORE_TRACKING, answered))
        .chain(called(COUNTED, chains::counted(Family::V4, connections)));
    let changes = if here.has_v6 { of_v6(changes, config, connections, log_group) } else { changes };
    let masqueraded = chains::masqueraded(links, block, here, config);
    changes
        .chain(filter("from", libc::NF_INET_PRE_ROUTING, BEFORE_DESTINATION_CHANGES, chains::from(links, here, config)))
        .chain(nat("host", libc::NF_INET_PRE_ROUTING, DESTINATION_CHANGES, chains::to_relay(links, here)))
        .chain(filter("to", libc::NF_INET_POST_ROUTING, FILTER, chains::to(links, here)))
        .chain(nat("nat", libc::NF_INET_POST_ROUTING, SOURCE_CHANGES, masqueraded))
}

/// The sets of every platform.
fn sets<'a>(changes: Transaction<'a>, config: &Config) -> Transaction<'a> {
    changes
        .set(&Set::Ranges { name: DENIED, ranges: &joined(&denied(config)) })
        .set(&Set::Counts { name: CONNECTIONS })
        .set(&Set::Counts { name: ASSURED })
        .set(&Set::Shares { name: SHARES })
        .set(&Set::Counts { name: QUESTIONS })
        .set(&Set::Counts { name: REFUSALS })
        .set(&Set::Numbers { name: MEMBERS })
        .set(&Set::Verdicts { name: LISTS })
}

/// Sets and chains for IPv6.
fn of_v6<'a>(
    changes: Transaction<'a>,
    config: &Config,
    connections: Limits,
    log_group: Option<u16>,
) -> Transaction<'a> {
    changes
        .set(&Set::Ranges6 { name: DENIED_6, ranges: &joined(&denied_6(config)) })
        .set(&Set::Verdicts { name: LISTS_6 })
        .chain(called(REFUSE_LISTED_6, refuse_listed(Family::V6, log_group)))
        .chain(called(COUNTED_6, chains::counted(Family::V6, connections)))
        .chain(called(FROM_6, chains::from_6()))
}

/// A chain that rules of other chains go to.
fn called(name: &str, rules: Vec<Rule>) -> Chain<'_> {
    Chain { name, hook: None, rules }
}

/// A chain that filters at a hook.
fn filter(name: &str, place: i32, priority: i32, rules: Vec<Rule>) -> Chain<'_> {
    Chain { name, hook: Some(Hook { kind: Kind::Filter, place, priority }), rules }
}

/// A chain that translates addresses at a hook.
fn nat(name: &str, place: i32, priority: i32, rules: Vec<Rule>) -> Chain<'_> {
    Chain { name, hook: Some(Hook { kind: Kind::Nat, place, priority }), rules }
}

/// Removes the platform's table; fails when there is none.
pub fn uninstall(names: &Names) -> Vec<Message> {
    Transaction::on(&names.table).remove_table().messages()
}
