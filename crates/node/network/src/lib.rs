//! Egress of instances: links, addresses, packet rules, name server.
//!
//! Owns the kernel objects that this needs on the host, from startup to shutdown.
//!
//! # The path of a packet
//! ```text
//! instance: eth0 with one address, default route through eth0
//!    |  a veth pair; both ends have the same link address, so that no ARP is needed
//! host: smp… with a route to the one address; chain `from`: own source? not denied? within limits?
//!    |  forwarded, masqueraded with the host's address
//! outside; replies return through connection tracking
//! ```
//! There is no bridge: a bridge has at most 1,023 ports, floods, and connects neighbours. There are
//! no rules per instance: the route to an address decides which link may send from it.
//!
//! # In the kernel
//! All objects are named after the number of the platform's data directory, and a start first
//! removes those of a predecessor:
//! ```text
//! nftables    inet sampan-<number>     the rules; stays while instances of a killed platform run
//! links       smp<number><n>           removed by their group, or with their namespace
//! address     <block>.1 on lo          labelled lo:smp<number>; name server and host relay listen
//! route       unreachable <block>      claims the block: other programs and platforms see it taken
//! nftables    inet sampan-forwarding   shared by all platforms, see below
//! ```
//! Where the host does not forward (`net.ipv4.ip_forward` is 0), forwarding is enabled for the
//! links that have routes, and stays enabled, because another platform may need it. The table
//! `sampan-forwarding` blocks other traffic that would now be forwarded. A reboot removes both.
//!
//! # IPv6
//! Where the host has an IPv6 uplink ([`Ipv6`]), a link has a second address: a prefix of 96 bits
//! (`[network] range6`) followed by the IPv4 address. Sets that identify an instance by its IPv4
//! address match the last 32 bits of this one too. Rules, routes and lists exist for both families;
//! the name server, ports of the host and the gateway are reached by IPv4 only.
//!
//! # Without
//! Ingress: nothing outside can open a connection to an instance.
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
