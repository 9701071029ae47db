//! Hands connections to the gateway's address over to the listener of their port, unchanged.

use std::any::Any;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::access::Refusal;

/// Connections queued for a listener; more are refused.
const WAITING_MAX: usize = 1024;

/// A connection of a link, the link's address, and a guard to drop when the connection has ended.
pub type GatewayConnection = (TcpStream, SocketAddr, Box<dyn Any + Send + Sync>);

/// The gateway's address and ports.
pub struct GatewayPorts {
    address: Option<Ipv4Addr>,
    taken: Mutex<HashMap<u16, mpsc::Sender<GatewayConnection>>>,
}

impl GatewayPorts {
    /// With the gateway's address, if there is one.
    pub fn new(address: Option<Ipv4Addr>) -> Self {
        Self { address, taken: Mutex::default() }
    }

    /// Whether an address is the gateway's.
    pub fn is_at(&self, address: Ipv4Addr) -> bool {
        self.address == Some(address)
    }

    /// Receives connections to those of the ports that are not taken yet.
    pub fn take(&self, ports: &[u16]) -> mpsc::Receiver<GatewayConnection> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let mut taken = self.taken.lock();
        for port in ports {
            taken.entry(*port).or_insert_with(|| sender.clone());
        }
        receiver
    }

    /// Hands a connection over to the listener of a port.
    pub fn send(&self, port: u16, connection: GatewayConnection) -> Result<(), (TcpStream, Refusal)> {
        let sender = self.taken.lock().get(&port).cloned();
        let Some(sender) = sender else { return Err((connection.0, Refusal::GatewayPort)) };
        sender.try_send(connection).map_err(|error| match error {
            TrySendError::Full((client, ..)) => (client, Refusal::TooManyToGateway),
            TrySendError::Closed((client, ..)) => (client, Refusal::GatewayGone),
        })
    }
}
