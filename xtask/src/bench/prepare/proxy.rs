//! A TCP proxy on loopback that counts bytes from the server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Length of the copy buffer.
const COPY_BYTES: usize = 128 * 1024;

/// The proxy; runs until the process exits.
pub struct CountingProxy {
    /// Its port.
    pub port: u16,
    received: Arc<AtomicU64>,
}

impl CountingProxy {
    /// Forwards every connection to a loopback port.
    pub fn start(to: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = Self { port: listener.local_addr()?.port(), received: Arc::default() };
        let received = proxy.received.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // An unreachable server closes the client's connection.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else { continue };
                let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { continue };
                let received = received.clone();
                std::thread::spawn(move || copy(from_client, to_server, &AtomicU64::new(0)));
                std::thread::spawn(move || copy(server, client, &received));
            }
        });
        Ok(proxy)
    }

    /// Bytes received from the server so far, HTTP headers included.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// Copies until either side closes, and then closes both.
fn copy(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = vec![0; COPY_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
    from.shutdown(Shutdown::Read).ok();
}
