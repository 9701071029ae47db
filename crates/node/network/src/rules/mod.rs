//! What instances may reach and who may reach them, as packet rules. Pure.
//!
//! One table per platform, the same however many instances there are: a link is known by how its
//! name begins, and who may send from it by the machine's own route to its address.
//!
//! ```text
//! asked    before tracking  what instances ask the name server is no connection, nor its answers
//! from     before routing   IPv4 · own address · name server, not too fast · host relay · not this
//!                           machine · not denied · on its list · counted
//! counted  -                not too many · tcp udp ping
//! to       after routing    answers and errors only
//! nat      after routing    leaves as the machine
//! host     before routing   connections to any port of this machine's one address, and of the
//!                           gateway's, become the relay's
//! ```
//!
//! Functions with a list of what they may reach share three more sets and chains: `members` has the
//! number of the list of an instance's address, `lists` the chain of a number, and the chain, one a
//! list, returns for what is on it and otherwise goes to `refuse-listed`, which reports and
//! refuses. With IPv6, packets of it go from `from` to `from-6`, which asks the same of them; a
//! list has a chain for each family, found by the number of the same member.
//!
//! An instance without a list is in none of them, and what it sends costs one failed lookup until
//! its connection is established.

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

/// Before the tracking of connections (-200).
const BEFORE_TRACKING: i32 = -300;
/// Behind the tracking of connections (-200) and before destinations are changed (-100): what
/// another program publishes on an address of this machine is refused by that address.
const BEFORE_DESTINATION_CHANGES: i32 = -150;
/// Where destinations are usually changed.
const DESTINATION_CHANGES: i32 = -100;
/// Where filters usually are.
const FILTER: i32 = 0;
/// Where sources are usually changed.
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

/// What instances reach of this machine, all by TCP but names.
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

/// Puts the platform's table in the place of one that is there.
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
        // Questions would fill the table of connections: each has a port of its own, and is
        // remembered for half a minute.
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

/// What of the table only IPv6 needs.
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

/// A chain that rules of others go to.
fn called(name: &str, rules: Vec<Rule>) -> Chain<'_> {
    Chain { name, hook: None, rules }
}

/// A chain that decides at a hook.
fn filter(name: &str, place: i32, priority: i32, rules: Vec<Rule>) -> Chain<'_> {
    Chain { name, hook: Some(Hook { kind: Kind::Filter, place, priority }), rules }
}

/// A chain that changes addresses at a hook.
fn nat(name: &str, place: i32, priority: i32, rules: Vec<Rule>) -> Chain<'_> {
    Chain { name, hook: Some(Hook { kind: Kind::Nat, place, priority }), rules }
}

/// Removes the platform's table; fails when there is none.
pub fn uninstall(names: &Names) -> Vec<Message> {
    Transaction::on(&names.table).remove_table().messages()
}
