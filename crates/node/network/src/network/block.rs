//! The block of addresses that a platform has for its links: taken where nobody uses it.

use std::io;

use rustix::net::netdevice::name_to_index;

use crate::addresses::Addresses;
use crate::config::Config;
use crate::error::Error;
use crate::names::{LOOPBACK, Names};
use crate::netlink::Socket;
use crate::subnet::{Subnet, free_blocks};
use crate::{forwarding, route};

/// Takes a block that nobody uses: its name server's address goes to the loopback, under our label,
/// and a route says that it is taken. The address is first: by its label all else is found again.
pub fn claim(platform: u64, config: &Config, names: &Names, route: &mut Socket) -> Result<Subnet, Error> {
    let loopback = name_to_index(&*route, LOOPBACK).map_err(io::Error::from);
    let loopback = loopback.map_err(Error::kernel("find the link", LOOPBACK))?;
    // A route to everywhere, or to half of it, is a way out and no use.
    let routes = forwarding::routes(route)?;
    let in_use: Vec<Subnet> = routes.iter().map(|r| r.to).filter(|to| to.prefix_bits() > 1).collect();
    for block in free_blocks(config.range, config.block_prefix_bits, &in_use, platform) {
        let address = Addresses::new(block).name_server();
        route
            .send(vec![route::add_address(loopback, address, Some(&names.label))])
            .map_err(Error::kernel("add the address", address))?;
        match route.send(vec![route::claim(block)]) {
            Ok(()) => return Ok(block),
            // Another platform that starts just now was faster.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                route
                    .send(vec![route::remove_address(loopback, address)])
                    .map_err(Error::kernel("remove the address", address))?;
            }
            Err(error) => return Err(Error::kernel("claim", block)(error)),
        }
    }
    Err(Error::NoFreeBlock { range: config.range, block_prefix_bits: config.block_prefix_bits })
}
