//! Whether this machine can do it, tried out in a namespace of its own, and what would be in the
//! way: nothing of the machine changes.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use crate::config::Config;
use crate::connections::Limits;
use crate::error::Error;
use crate::ipv6;
use crate::names::{INNER_LINK, Names};
use crate::netlink::Socket;
use crate::rules::Here;
use crate::subnet::Subnet;
use crate::{nft, route, rules};

/// Connections that a machine tracks that is looked at; any number does.
const TRACKED_MAX: u32 = 1 << 16;

/// Makes the rules and a link in a new network namespace, which is gone when this returns. Returns
/// the chains of other programs that drop whatever they have no rule for, and may have none for
/// instances: `FORWARD of the table filter`.
pub fn probe() -> Result<Vec<String>, Error> {
    let opened = || Error::kernel("open", "/proc/thread-self/ns/net");
    let home = sys::namespace::current_network().map_err(opened())?;
    let mut outcome = Ok(());
    let made = sys::namespace::new_network(home.as_fd(), || {
        let here = sys::namespace::current_network()?;
        outcome = try_all(here.as_fd());
        Ok(())
    });
    made.map_err(Error::kernel("make", "a network namespace"))?;
    outcome?;
    let mut netfilter = Socket::netfilter().map_err(Error::kernel("open", "a netfilter socket"))?;
    let chains = netfilter.list(nft::list_chains()).map_err(Error::kernel("list", "chains of packet rules"))?;
    let dropping = chains.iter().filter_map(|chain| nft::read_chain(chain)).filter(|chain| chain.drops_forwarded);
    Ok(dropping.map(|chain| format!("{} of the table {}", chain.name, chain.table)).collect())
}

/// Why instances would have no IPv6 here, with these settings; nothing where they would have it.
///
/// # Errors
/// [`Error::BadConfig`] where the settings want it in any case and the machine cannot.
pub fn ipv6_off(config: &Config) -> Result<Option<&'static str>, Error> {
    let mut route = Socket::route().map_err(Error::kernel("open", "a netlink socket"))?;
    Ok(ipv6::state(config.ipv6, &mut route)?.err())
}

fn try_all(namespace: std::os::fd::BorrowedFd<'_>) -> Result<(), Error> {
    let names = Names::of(0);
    let mut route = Socket::route().map_err(Error::kernel("open", "a netlink socket"))?;
    let mut netfilter = Socket::netfilter().map_err(Error::kernel("open", "a netfilter socket"))?;
    let block = Subnet::of(Ipv4Addr::new(192, 0, 2, 0), 24);
    let here = Here { address: block.at(1), gateway: Some(block.at(2)), relay: 1, has_v6: false };
    let config = Config::default();
    let connections = Limits::new(&config, TRACKED_MAX, 1)?;
    netfilter
        .send(rules::install(&names, block, here, &config, connections, None).messages())
        .map_err(Error::kernel("install packet rules", "in a new network namespace"))?;
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&namespace);
    route
        .send(vec![route::make_pair(&names.link(0), INNER_LINK, route::ANY_INDEX, names.group, descriptor)])
        .map_err(Error::kernel("make", "a virtual link in a new network namespace"))
}
