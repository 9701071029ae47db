//! Removes a platform's kernel objects: its own on shutdown, those of a killed predecessor at
//! startup.

use crate::error::Error;
use crate::forwarding::{links, not_found, routes};
use crate::names::Names;
use crate::netlink::Socket;
use crate::route::{self, AddressEntry};
use crate::rules;

/// Removes the links, routes, address and packet rules with these names. Returns how many objects
/// were removed.
pub fn remove(names: &Names, route: &mut Socket, netfilter: &mut Socket) -> Result<usize, Error> {
    let mut removed = remove_links(names, route)?;
    for entry in addresses(route)?.into_iter().filter(|entry| entry.label == names.label) {
        // Remove the route first: it is found through the label of the address.
        for claim in routes(route)?.into_iter().filter(|route| route.is_claim && route.to.contains(entry.address)) {
            let gone = route.send(vec![route::unclaim(claim.to)]).or_else(not_found);
            gone.map_err(Error::kernel("remove the route to", claim.to))?;
            removed += 1;
        }
        let gone = route.send(vec![route::remove_address(entry.index, entry.address)]).or_else(not_found);
        gone.map_err(Error::kernel("remove the address", entry.address))?;
        removed += 1;
    }
    // Remove the rules last, so that instances which still run stay isolated until then.
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
