//! Whether instances reach the outside by IPv6 too, and passing their packets on.
//!
//! Only where nothing else of the machine changes: what `net.ipv6.conf.all.forwarding` switches on
//! makes a router of the machine, which forgets the routes that it learned from others. Kernels
//! from Linux 6.17 on pass packets on for single links (`force_forwarding`) and leave the rest as
//! it was.

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
/// Passes on what comes in by one link.
const ONE_LINK: &str = "force_forwarding";

/// What the machine has of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// The kernel knows it.
    has_stack: bool,
    /// Links that are made have it.
    is_of_new_links: bool,
    /// Who is passed on.
    forwards: Forwards,
    /// There is a way out.
    has_route: bool,
}

/// For whom the machine passes packets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwards {
    /// For everybody already.
    All,
    /// For single links, where that is switched on.
    OneLink,
    /// For nobody, unless the machine becomes a router.
    None,
}

/// How instances have IPv6, or why they do not.
pub type State = Result<Forwards, &'static str>;

/// Looks at the machine and decides.
///
/// # Errors
/// Where it is to be on: [`Error::BadConfig`] where it cannot be, and what could not be read of the
/// machine.
pub fn state(setting: Ipv6, route: &mut Socket) -> Result<State, Error> {
    let state = match machine(route) {
        Ok(machine) => decide(setting, machine),
        Err(error) if setting == Ipv6::On => return Err(error),
        // IPv4 does without what a container may not read.
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

/// Passes on what comes in by the links that have routes, for links that came since the last call
/// too; a packet rule keeps others from using it. Returns the links it was switched on for.
pub fn ensure(route: &mut Socket, netfilter: &mut Socket) -> Result<Vec<String>, Error> {
    let table = rules::GUARD_TABLE_6;
    if is_on(&setting("all", "forwarding"))? {
        netfilter.send(rules::unguard(table)).or_else(not_found).map_err(Error::kernel("remove", table))?;
        return Ok(Vec::new());
    }
    let mut off: Vec<String> = uplinks(route, |_| true)?.collect();
    // One that cannot be read went just now.
    off.retain(|name| is_on(&setting(name, ONE_LINK)).is_ok_and(|on| !on));
    if !off.is_empty() {
        // The guard first: not for a moment is the machine more open than it was.
        netfilter.send(rules::guard(table, &off)).map_err(Error::kernel("install", table))?;
    }
    for name in &off {
        pass_on(name)?;
    }
    Ok(off)
}

/// Passes on what comes in by a link of the calling thread's namespace.
pub fn pass_on(link: &str) -> Result<(), Error> {
    let path = setting(link, ONE_LINK);
    fs::write(&path, "1").map_err(|source| Error::Setting { operation: "write", path, source })
}

/// Names of the links by which such routes lead to other machines.
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
