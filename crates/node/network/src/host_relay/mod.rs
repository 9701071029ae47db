//! The way of instances to servers on this machine's loopback: a listener towards the links, which
//! passes a connection on to a port that the function has asked for, and resets any other.
//!
//! ```text
//! instance: connect(host.sampan.internal = <block>.1, 3306)
//!    |  packet rules: own address; each TCP port but 53 of <block>.1 becomes the relay's
//! relay: SO_ORIGINAL_DST is the port, the source address the link; has its function the port?
//!    |  127.0.0.1:3306, then [::1]:3306
//! server
//! ```
//! Connections to the gateway's address (`gateway.sampan.internal` = <block>.2) come here by the
//! same rules and are handed over to the gateway as they are: it sees the instance as its peer.
//!
//! An instance is known by its address alone, which the packet rules let no other link send from.

mod access;
mod copy;
mod gateway;
mod server;

pub use access::{AccessTable, GATEWAY_NAME, HOST_NAME, HostAccess};
pub use gateway::{GatewayConnection, GatewayPorts};
pub use server::HostRelay;
