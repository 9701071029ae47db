//! An instance whose server sends exactly the bytes of a test, and records exactly those that it
//! received.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The action after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Read the next request.
    Keep,
    /// Close the connection.
    Close,
}

/// A response, sent once the request's head was read.
#[derive(Debug, Clone)]
pub struct Script {
    /// The end of the request; empty for a request that is read no further than its head.
    pub request_end: &'static [u8],
    /// The bytes to send, one write each.
    pub sends: Vec<Vec<u8>>,
    /// The action after it.
    pub then: Then,
}

impl Script {
    /// One response at once.
    pub fn answer(bytes: impl AsRef<[u8]>, then: Then) -> Self {
        Self { request_end: b"", sends: vec![bytes.as_ref().to_vec()], then }
    }
}

/// A running server.
#[derive(Clone)]
pub struct ExactServer {
    /// Its address.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    script: Option<Script>,
    seen: Vec<u8>,
}

impl ExactServer {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Self { address: listener.local_addr().expect("bound"), state: Arc::default() };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().serve(socket));
            }
        });
        server
    }

    /// Sets the following responses.
    pub fn play(&self, script: Script) {
        let mut state = self.state.lock();
        state.script = Some(script);
        state.seen.clear();
    }

    /// The last request, as far as it was read.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.state.lock().seen).into_owned()
    }

    async fn serve(self, mut socket: TcpStream) {
        loop {
            if !self.read_until(&mut socket, b"\r\n\r\n").await {
                return;
            }
            let script = self.state.lock().script.clone().expect("a script is played");
            if !script.request_end.is_empty() && !self.read_until(&mut socket, script.request_end).await {
                return;
            }
            for bytes in &script.sends {
                if socket.write_all(bytes).await.is_err() {
                    return;
                }
            }
            if script.then == Then::Close {
                return;
            }
        }
    }

    async fn read_until(&self, socket: &mut TcpStream, end: &[u8]) -> bool {
        let mut read = Vec::new();
        while !read.ends_with(end) {
            let Ok(byte) = socket.read_u8().await else { return false };
            read.push(byte);
            self.state.lock().seen.push(byte);
        }
        true
    }
}
