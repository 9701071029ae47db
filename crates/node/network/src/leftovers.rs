//! Removing what a platform has in the kernel: its own at the end, an earlier one's at the start.

use crate::error::Error;
use crate::forwarding::{links, not_found, routes};
use crate::names::Names;
use crate::netlink::Socket;
use crate::route::{self, AddressEntry};
use crate::rules;

/// Removes links, claims, address and rules of these names, whichever are there. Returns how many
/// things there were.
pub fn remove(names: &Names, route: &mut Socket, netfilter: &mut Socket) -> Result<usize, Error> {
    let mut removed = remove_links(names, route)?;
    for entry in addresses(route)?.into_iter().filter(|entry| entry.label == names.label) {
        // The claim first: the label is how it is found.
        for claim in routes(route)?.into_iter().filter(|route| route.is_claim && route.to.contains(entry.address)) {
            let gone = route.send(vec![route::unclaim(claim.to)]).or_else(not_found);
            gone.map_err(Error::kernel("remove the route to", claim.to))?;
            removed += 1;
        }
        let gone = route.send(vec![route::remove_address(entry.index, entry.address)]).or_else(not_found);
        gone.map_err(Error::kernel("remove the address", entry.address))?;
        removed += 1;
    }
    // The rules last: what is left of instances stays fenced in until then.
    match netfilter.send(rules::uninstall(names)) {
        Ok(()) => removed += 1,
        Err(error) => not_found(error).map_err(Error::kernel("remove the packet rules", &names.table))?,
    }
    Ok(removed)
}

fn remove_links(names: &Names, route: &mut Socket) -> Result<usize, Error> {
    let ours = |route: &mut Socket| {
        let all = links(route)?;
        Ok(all.iter().filter(|link| link.group == names.group && link.name.starts_with(&names.links)).count())
    };
    let count = ours(route)?;
    if count > 0 {
        let gone = route.send(vec![route::remove_group(names.group)]).or_else(not_found);
        gone.map_err(Error::kernel("remove the links", &names.links))?;
    }
    Ok(count)
}

/// All IPv4 addresses of this namespace.
fn addresses(route: &mut Socket) -> Result<Vec<AddressEntry>, Error> {
    let entries = route.list(route::list_addresses()).map_err(Error::kernel("list", "addresses"))?;
    Ok(entries.iter().filter_map(|entry| route::read_address(entry)).collect())
}
