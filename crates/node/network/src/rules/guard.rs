//! The guard table: limits forwarding on hosts that did not forward before. Pure.

use super::FILTER;
use crate::names::LINKS_OF_ALL;
use crate::netlink::Message;
use crate::nft::{Chain, Hook, Kind, Rule, Set, Transaction};

/// The table that all platforms of a machine share, see [`guard`].
pub const GUARD_TABLE: &str = "sampan-forwarding";
/// The same for IPv6.
pub const GUARD_TABLE_6: &str = "sampan-forwarding-6";

const GUARDED: &str = "guarded";

/// On a host that did not forward, forwarding is enabled for the given links for the sake of
/// instances. The guard drops other packets that arrive on them and would now be forwarded, except
/// replies and connections with DNAT, which another program set up.
///
/// There is one table per family, [`GUARD_TABLE`] and [`GUARD_TABLE_6`]. Like the setting that it
/// compensates for, it stays until the host reboots, because another platform may need both. Links
/// are only ever added.
pub fn guard(table: &str, links: &[String]) -> Vec<Message> {
    let of_family = if table == GUARD_TABLE { Rule::new().v4() } else { Rule::new().v6() };
    let stray = of_family.enters_by_one_of(GUARDED).leaves_not_by(LINKS_OF_ALL).of_no_known_connection();
    let hook = Hook { kind: Kind::Filter, place: libc::NF_INET_FORWARD, priority: FILTER };
    Transaction::on(table)
        .table()
        .set(&Set::Links { name: GUARDED, links })
        .chain(Chain { name: "forward", hook: Some(hook), rules: Vec::new() })
        .empty_chain("forward")
        .chain(Chain { name: "forward", hook: Some(hook), rules: vec![stray.destination_unchanged().drop()] })
        .messages()
}

/// Removes the guard; fails when there is none.
pub fn unguard(table: &str) -> Vec<Message> {
    Transaction::on(table).remove_table().messages()
}
