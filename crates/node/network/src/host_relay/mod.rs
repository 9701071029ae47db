//! Forwards connections of instances to servers on the host's loopback: a listener towards the
//! links, which connects to the port if the function has asked for it, and resets the connection
//! otherwise.
//!
//! ```text
//! instance: connect(host.sampan.internal = <block>.1, 3306)
//!    |  packet rules: own source; every TCP port but 53 of <block>.1 is redirected to the relay
//! relay: the port is SO_ORIGINAL_DST, the link is found by its source; has the function the port?
//!    |  127.0.0.1:3306, then [::1]:3306
//! server
//! ```
//! Connections to the gateway's address (`gateway.sampan.internal` = <block>.2) come here by the
//! same rules and are handed over to the gateway as they are: it sees the instance as its peer.
//!
//! Instances are identified by their source address, which the packet rules protect against
//! spoofing.

mod access;
mod copy;
mod gateway;
mod relayed;
mod server;

pub use access::{AccessTable, GATEWAY_NAME, HOST_NAME, HostAccess};
pub use gateway::{GatewayConnection, GatewayPorts};
pub use relayed::RelayedConnections;
pub use server::HostRelay;
