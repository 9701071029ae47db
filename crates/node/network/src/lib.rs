//! The way of instances to the world outside: links, addresses, packet rules, name server.
//!
//! Owns what is made for it on the machine, from the platform's start to its end.
//!
//! # How a packet goes
//! ```text
//! instance: eth0, one address, "everything goes to eth0"
//!    |  a pair of virtual links (veth), both ends with the same link address: nobody asks
//! machine: smp…, a route to the one address; rules `from`: own address? not denied? not too many?
//!    |  passed on and masqueraded as the machine's own
//! outside; answers come back by the connection that the machine remembers
//! ```
//! There is no bridge: one takes at most 1,023 links, floods, and lets neighbours meet. There is no
//! rule per instance: the route to an address says which link may send from it.
//!
//! # In the kernel
//! All of it is known by the number of the platform's data directory, and a start first removes
//! what an earlier one left:
//! ```text
//! nftables    inet sampan-<number>     the rules; stays while instances of a killed platform run
//! links       smp<number><n>           removed by their group, or with their namespace
//! address     <block>.1 on lo          labelled lo:smp<number>; name server and host relay listen
//! route       unreachable <block>      claims the block: other programs and platforms see it taken
//! nftables    inet sampan-forwarding   shared by all platforms, see below
//! ```
//! Where the machine passes no packets on (`net.ipv4.ip_forward` is 0), it is switched on for the
//! links that have routes, and stays so, for another platform may need it; the table
//! `sampan-forwarding` keeps the machine as closed to others as it was. Both are gone when the
//! machine starts anew.
//!
//! # IPv6
//! Where the machine has a way out by it ([`Ipv6`]), a link has a second address, which ends with
//! its first: a range of 96 bits (`[network] range6`) and the IPv4 address. So sets that know an
//! instance by its IPv4 address know it by the end of the other too. Rules, routes and lists are
//! the same once more; names, ports of the machine and the gateway are reached by IPv4 alone.
//!
//! # Without
//! Ways in: nothing outside can begin a connection to an instance.
#![forbid(unsafe_code)]

mod addresses;
mod config;
mod connections;
mod dns;
mod egress;
mod error;
mod forwarding;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod host;
mod host_relay;
mod ipv6;
mod leftovers;
mod link;
mod names;
mod netlink;
mod network;
mod nft;
mod prefix;
mod probe;
mod resolv_conf;
mod route;
mod route6;
mod rules;
mod subnet;
mod subnet6;

pub use config::{Config, Ipv6};
pub use dns::IsOwnName;
pub use egress::{EgressSpec, Refused};
pub use error::Error;
pub use host_relay::{GATEWAY_NAME, GatewayConnection, HostAccess};
pub use link::Link;
pub use network::Network;
pub use probe::{ipv6_off, probe};
pub use subnet::Subnet;
pub use subnet6::Subnet6;
