//! Whether instances have IPv6, and forwarding for it.
//!
//! IPv6 is used only where it does not change how the host itself behaves:
//! `net.ipv6.conf.all.forwarding` makes the host a router, which drops routes learned from router
//! advertisements. Linux 6.17 and later can forward for single links (`force_forwarding`) without
//! that effect.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Ipv6;
use crate::error::Error;
use crate::forwarding::{links, not_found};
use crate::names::{LINKS_OF_ALL, LOOPBACK};
use crate::netlink::Socket;
use crate::route6::{self, RouteEntry6};
use crate::rules;

/// Settings of links for IPv6.
const SETTINGS: &str = "/proc/sys/net/ipv6/conf";
/// Forwards packets that arrive on one link.
const ONE_LINK: &str = "force_forwarding";

/// IPv6 support of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The kernel has an IPv6 stack.
    has_stack: bool,
    /// New links have IPv6 enabled.
    is_of_new_links: bool,
    /// What the host forwards.
    forwards: Forwards,
    /// There is a default route.
    has_route: bool,
}

/// Which links the host forwards packets for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwards {
    /// All links already.
    All,
    /// Single links, where `force_forwarding` is set.
    OneLink,
    /// None, unless the host becomes a router.
    None,
}

/// How packets of instances are forwarded, or the reason why instances have no IPv6.
pub type State = Result<Forwards, &'static str>;

/// Inspects the host and decides whether instances have IPv6.
///
/// # Errors
/// Only with `ipv6 = "on"`: [`Error::BadConfig`] where IPv6 is impossible, and errors reading the
/// state of the host.
pub fn state(setting: Ipv6, route: &mut Socket) -> Result<State, Error> {
    let state = match machine(route) {
        Ok(machine) => decide(setting, machine),
        Err(error) if setting == Ipv6::On => return Err(error),
        // A container may be unable to read these files; IPv4 does not need them.
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot look at the machine's IPv6");
            Err("what the kernel says of IPv6 cannot be read; [network] ipv6 = \"on\" says why")
        }
    };
    match state {
        Err(reason) if setting == Ipv6::On => Err(Error::BadConfig { key: "ipv6", value: "\"on\"".to_owned(), reason }),
        state => Ok(state),
    }
}

fn decide(setting: Ipv6, machine: Machine) -> State {
    match machine {
        _ if setting == Ipv6::Off => Err("[network] ipv6 is \"off\""),
        Machine { has_stack: false, .. } => Err("the kernel has no IPv6"),
        Machine { is_of_new_links: false, .. } => Err("new links get no IPv6 (net.ipv6.conf.default.disable_ipv6)"),
        Machine { has_route: false, .. } if setting == Ipv6::Auto => Err("this machine has no default route by IPv6"),
        Machine { forwards: Forwards::None, .. } => Err("this machine passes no IPv6 packets on \
            (net.ipv6.conf.all.forwarding), nor can its kernel for single links (Linux 6.17)"),
        Machine { forwards, .. } => Ok(forwards),
    }
}

fn machine(route: &mut Socket) -> Result<Machine, Error> {
    if !Path::new(SETTINGS).exists() {
        let (has_stack, is_of_new_links, forwards, has_route) = (false, false, Forwards::None, false);
        return Ok(Machine { has_stack, is_of_new_links, forwards, has_route });
    }
    let forwards = match () {
        () if is_on(&setting("all", "forwarding"))? => Forwards::All,
        () if setting("default", ONE_LINK).exists() => Forwards::OneLink,
        () => Forwards::None,
    };
    Ok(Machine {
        has_stack: true,
        is_of_new_links: !is_on(&setting("default", "disable_ipv6"))?,
        forwards,
        has_route: uplinks(route, |route| route.prefix_bits == 0)?.next().is_some(),
    })
}

/// Enables forwarding for links that have routes, including those that appeared since the last
/// call. The guard table keeps other traffic from being forwarded. Returns the links for which it
/// was enabled.
pub fn ensure(route: &mut Socket, netfilter: &mut Socket) -> Result<Vec<String>, Error> {
    let table = rules::GUARD_TABLE_6;
    if is_on(&setting("all", "forwarding"))? {
        netfilter.send(rules::unguard(table)).or_else(not_found).map_err(Error::kernel("remove", table))?;
        return Ok(Vec::new());
    }
    let mut off: Vec<String> = uplinks(route, |_| true)?.collect();
    // A link whose setting cannot be read has just disappeared.
    off.retain(|name| is_on(&setting(name, ONE_LINK)).is_ok_and(|on| !on));
    if !off.is_empty() {
        // Install the guard first, so that the host never forwards more than before.
        netfilter.send(rules::guard(table, &off)).map_err(Error::kernel("install", table))?;
    }
    for name in &off {
        pass_on(name)?;
    }
    Ok(off)
}

/// Enables forwarding for a link in the network namespace of the calling thread.
pub fn pass_on(link: &str) -> Result<(), Error> {
    let path = setting(link, ONE_LINK);
    fs::write(&path, "1").map_err(|source| Error::Setting { operation: "write", path, source })
}

/// Names of the links that matching routes to other hosts use.
fn uplinks(route: &mut Socket, such: impl Fn(&RouteEntry6) -> bool) -> Result<impl Iterator<Item = String>, Error> {
    let entries = match route.list(route6::list_routes()) {
        Ok(entries) => entries,
        Err(error) => return Err(Error::kernel("list", "IPv6 routes")(error)),
    };
    let routes = entries.iter().filter_map(|entry| route6::read_route(entry));
    let used: BTreeSet<u32> =
        routes.filter(|route| route.is_unicast && such(route)).filter_map(|route| route.link).collect();
    let named = links(route)?.into_iter().filter(move |link| used.contains(&link.index)).map(|link| link.name);
    Ok(named.filter(|name| name != LOOPBACK && !name.starts_with(LINKS_OF_ALL)))
}

fn setting(link: &str, name: &str) -> PathBuf {
    Path::new(SETTINGS).join(link).join(name)
}

fn is_on(path: &Path) -> Result<bool, Error> {
    let read = fs::read_to_string(path).map(|text| text.trim() != "0");
    read.map_err(|source| Error::Setting { operation: "read", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_on_where_the_machine_can_without_becoming_a_router() {
        let all = Machine { has_stack: true, is_of_new_links: true, forwards: Forwards::OneLink, has_route: true };
        assert_eq!(decide(Ipv6::Auto, all), Ok(Forwards::OneLink));
        assert_eq!(decide(Ipv6::On, Machine { has_route: false, ..all }), Ok(Forwards::OneLink));
        let router = Machine { forwards: Forwards::All, ..all };
        assert_eq!(decide(Ipv6::Auto, router), Ok(Forwards::All));
        for (setting, machine, want) in [
            (Ipv6::Off, all, "is \"off\""),
            (Ipv6::Auto, Machine { has_route: false, ..all }, "no default route"),
            (Ipv6::On, Machine { has_stack: false, ..all }, "has no IPv6"),
            (Ipv6::On, Machine { is_of_new_links: false, ..all }, "disable_ipv6"),
            (Ipv6::On, Machine { forwards: Forwards::None, ..all }, "single links"),
        ] {
            assert!(decide(setting, machine).expect_err("off").contains(want), "{machine:?}");
        }
    }
}
