//! Connections to the gateway's address: each port's go to whoever takes them, as they are.

use std::any::Any;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::access::Refusal;

/// Connections that wait to be taken; beyond, new ones are refused.
const WAITING_MAX: usize = 1024;

/// A connection of a link, the link's address, and what is to be dropped when it has ended.
pub type GatewayConnection = (TcpStream, SocketAddr, Box<dyn Any + Send + Sync>);

/// The gateway's address and ports.
pub struct GatewayPorts {
    address: Option<Ipv4Addr>,
    taken: Mutex<HashMap<u16, mpsc::Sender<GatewayConnection>>>,
}

impl GatewayPorts {
    /// At an address, or nowhere.
    pub fn new(address: Option<Ipv4Addr>) -> Self {
        Self { address, taken: Mutex::default() }
    }

    /// Whether connections to an address are the gateway's.
    pub fn is_at(&self, address: Ipv4Addr) -> bool {
        self.address == Some(address)
    }

    /// The connections to those of the ports that nobody has taken.
    pub fn take(&self, ports: &[u16]) -> mpsc::Receiver<GatewayConnection> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let mut taken = self.taken.lock();
        for port in ports {
            taken.entry(*port).or_insert_with(|| sender.clone());
        }
        receiver
    }

    /// Hands a connection to a port over.
    pub fn send(&self, port: u16, connection: GatewayConnection) -> Result<(), (TcpStream, Refusal)> {
        let sender = self.taken.lock().get(&port).cloned();
        let Some(sender) = sender else { return Err((connection.0, Refusal::GatewayPort)) };
        sender.try_send(connection).map_err(|error| match error {
            TrySendError::Full((client, ..)) => (client, Refusal::TooManyToGateway),
            TrySendError::Closed((client, ..)) => (client, Refusal::GatewayGone),
        })
    }
}
