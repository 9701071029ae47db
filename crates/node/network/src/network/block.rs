//! Claims a free block of addresses for the links of a platform.

use std::io;

use rustix::net::netdevice::name_to_index;

use crate::addresses::Addresses;
use crate::config::Config;
use crate::error::Error;
use crate::names::{LOOPBACK, Names};
use crate::netlink::Socket;
use crate::subnet::{Subnet, free_blocks};
use crate::{forwarding, route};

/// Claims a block that no route overlaps: adds the name server's address to the loopback with the
/// platform's label, then an unreachable route that marks the block as taken. The address comes
/// first, because a later start finds the rest by its label.
pub fn claim(platform: u64, config: &Config, names: &Names, route: &mut Socket) -> Result<Subnet, Error> {
    let loopback = name_to_index(&*route, LOOPBACK).map_err(io::Error::from);
    let loopback = loopback.map_err(Error::kernel("find the link", LOOPBACK))?;
    // Default routes, also those split into two halves, do not count as use of the range.
    let routes = forwarding::routes(route)?;
    let in_use: Vec<Subnet> = routes.iter().map(|r| r.to).filter(|to| to.prefix_bits() > 1).collect();
    for block in free_blocks(config.range, config.block_prefix_bits, &in_use, platform) {
        let address = Addresses::new(block).name_server();
        route
            .send(vec![route::add_address(loopback, address, Some(&names.label))])
            .map_err(Error::kernel("add the address", address))?;
        match route.send(vec![route::claim(block)]) {
            Ok(()) => return Ok(block),
            // Another platform claimed it at the same time.
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
