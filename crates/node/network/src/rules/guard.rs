//! The guard: the table that keeps a machine as closed as it was. Pure.

use super::FILTER;
use crate::names::LINKS_OF_ALL;
use crate::netlink::Message;
use crate::nft::{Chain, Hook, Kind, Rule, Set, Transaction};

/// The table that all platforms of a machine share, see [`guard`].
pub const GUARD_TABLE: &str = "sampan-forwarding";
/// The same for IPv6.
pub const GUARD_TABLE_6: &str = "sampan-forwarding-6";

const GUARDED: &str = "guarded";

/// Keeps a machine that passed nothing on as closed as it was, where packets that come in by the
/// given links must now be passed on for the sake of instances: what others send by them to
/// anywhere else is dropped, as it was before, but for what another program asked for (answers, and
/// destinations that it changed).
///
/// There is one table for each family, [`GUARD_TABLE`] and [`GUARD_TABLE_6`]. It lives as long as
/// the settings that it makes up for, until the machine starts anew: either may be in use by
/// another platform. Links are only ever added.
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
