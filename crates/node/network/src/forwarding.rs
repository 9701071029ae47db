//! IPv4 forwarding between instances and the outside.
//!
//! The kernel forwards packets that arrive on a link with `forwarding` set. Links of instances are
//! made with it; uplinks need it for replies. Where the host forwards for all links already, there
//! is nothing to do. Otherwise forwarding is enabled for links that have routes, and the guard
//! table keeps other traffic from being forwarded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::error::Error;
use crate::names::{LINKS_OF_ALL, LOOPBACK};
use crate::netlink::Socket;
use crate::route::{self, LinkEntry, RouteEntry};
use crate::rules;

/// Enables forwarding on uplinks where it is off, including those that appeared since the last
/// call. Returns the links for which it was enabled.
pub fn ensure(route: &mut Socket, netfilter: &mut Socket) -> Result<Vec<String>, Error> {
    if is_on(setting("all"))? {
        // Another program enabled forwarding for all links, so the guard must not block it.
        netfilter
            .send(rules::unguard(rules::GUARD_TABLE))
            .or_else(not_found)
            .map_err(Error::kernel("remove", rules::GUARD_TABLE))?;
        return Ok(Vec::new());
    }
    let mut off = Vec::new();
    for name in uplinks(&links(route)?, &routes(route)?) {
        match is_on(setting(&name)) {
            Ok(true) => {}
            Ok(false) => off.push(name),
            // The link has just disappeared.
            Err(Error::Setting { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if !off.is_empty() {
        // Install the guard first, so that the host never forwards more than before.
        netfilter.send(rules::guard(rules::GUARD_TABLE, &off)).map_err(Error::kernel("install", rules::GUARD_TABLE))?;
    }
    for name in &off {
        let path = setting(name);
        fs::write(&path, "1").map_err(|source| Error::Setting { operation: "write", path, source })?;
    }
    Ok(off)
}

/// The links that routes to other hosts use.
fn uplinks(links: &[LinkEntry], routes: &[RouteEntry]) -> BTreeSet<String> {
    let names: BTreeMap<u32, &str> = links.iter().map(|link| (link.index, link.name.as_str())).collect();
    let used = routes.iter().filter(|route| route.is_unicast).flat_map(|route| &route.links);
    used.filter_map(|index| names.get(index))
        .filter(|name| **name != LOOPBACK && !name.starts_with(LINKS_OF_ALL))
        .map(|name| (*name).to_owned())
        .collect()
}

/// All links of this namespace.
pub fn links(route: &mut Socket) -> Result<Vec<LinkEntry>, Error> {
    let entries = route.list(route::list_links()).map_err(Error::kernel("list", "links"))?;
    Ok(entries.iter().filter_map(|entry| route::read_link(entry)).collect())
}

/// All its IPv4 routes.
pub fn routes(route: &mut Socket) -> Result<Vec<RouteEntry>, Error> {
    let entries = route.list(route::list_routes()).map_err(Error::kernel("list", "routes"))?;
    Ok(entries.iter().filter_map(|entry| route::read_route(entry)).collect())
}

/// Ignores errors that say that the object to remove does not exist.
pub fn not_found(error: std::io::Error) -> std::io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ESRCH | libc::EADDRNOTAVAIL) => Ok(()),
        _ => Err(error),
    }
}

fn setting(link: &str) -> PathBuf {
    format!("/proc/sys/net/ipv4/conf/{link}/forwarding").into()
}

fn is_on(path: PathBuf) -> Result<bool, Error> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim() != "0"),
        Err(source) => Err(Error::Setting { operation: "read", path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_by_links_that_have_routes() {
        let link = |index, name: &str| LinkEntry { index, name: name.to_owned(), group: 0, is_running: true };
        let links = [link(1, "lo"), link(2, "eth0"), link(3, "wg0"), link(4, "eth1"), link(5, "smp1")];
        let to = |links: &[u32], is_unicast| RouteEntry {
            to: "10.0.0.0/8".parse().expect("a range"),
            is_unicast,
            is_claim: false,
            links: links.to_vec(),
        };
        let routes = [to(&[2, 3], true), to(&[4], false), to(&[1], true), to(&[5], true), to(&[9], true)];
        assert_eq!(uplinks(&links, &routes).into_iter().collect::<Vec<_>>(), ["eth0", "wg0"]);
    }
}
