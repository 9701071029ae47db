//! Which link is behind each connection that the relay has to a server on the loopback.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The relay's end of a connection, and the server's port.
type Key = (SocketAddr, u16);

/// Open connections of the relay to servers.
#[derive(Debug, Default)]
pub struct RelayedConnections(Mutex<HashMap<Key, Ipv4Addr>>);

/// A connection, which is known until it is dropped.
#[derive(Debug)]
pub struct RelayedConnection {
    all: Arc<RelayedConnections>,
    key: Key,
}

impl RelayedConnections {
    /// Records a connection before a byte is carried over it: a server that has read a request
    /// finds its link.
    pub fn enter(self: &Arc<Self>, relay: SocketAddr, port: u16, link: Ipv4Addr) -> RelayedConnection {
        let key = (relay, port);
        self.0.lock().insert(key, link);
        RelayedConnection { all: Arc::clone(self), key }
    }

    /// The address of the link that reaches the server on `port` as this client.
    pub fn link_behind(&self, client: SocketAddr, port: u16) -> Option<Ipv4Addr> {
        // A server on both families sees IPv4 clients as mapped addresses.
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        self.0.lock().get(&(client, port)).copied()
    }
}

impl Drop for RelayedConnection {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_found_by_the_connection_while_it_is_open() {
        let all = Arc::<RelayedConnections>::default();
        let link = Ipv4Addr::new(10, 222, 0, 3);
        let relay: SocketAddr = "127.0.0.1:40000".parse().expect("an address");
        let open = all.enter(relay, 7070, link);
        let mapped = "[::ffff:127.0.0.1]:40000".parse().expect("an address");
        assert_eq!((all.link_behind(relay, 7070), all.link_behind(mapped, 7070)), (Some(link), Some(link)));
        assert_eq!(all.link_behind(relay, 7071), None, "the port may serve other connections");
        drop(open);
        assert_eq!(all.link_behind(relay, 7070), None);
    }
}
