//! Raw HTTP/1: sends exactly the bytes of a test.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// Longest wait for a response or the end of the connection.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A connection.
pub struct Raw {
    socket: BufReader<TcpStream>,
}

/// A response with a known length or in chunks.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// Body, without the chunks' frames.
    pub body: String,
}

impl Answer {
    /// A header by its lower-case name; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next().unwrap_or_default()
    }

    /// The body as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// All values of one header that the function received.
    pub fn seen(&self, name: &str) -> Vec<String> {
        let json = self.json();
        let headers = json["headers"].as_array().cloned().unwrap_or_default();
        let values = headers.iter().filter(|pair| pair[0] == name);
        values.map(|pair| pair[1].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("the gateway accepts");
        Self { socket: BufReader::new(socket) }
    }

    /// Connects from an address of loopback.
    pub async fn connect_from(from: [u8; 4], address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((from, 0).into()).expect("all of 127/8 is loopback");
        let socket = socket.connect(address).await.expect("the gateway accepts");
        Self { socket: BufReader::new(socket) }
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.get_mut().write_all(bytes.as_ref()).await.expect("the gateway reads");
    }

    /// Sends bytes and reads one answer.
    pub async fn call(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes).await;
        self.answer().await
    }

    /// Sends `GET target` for `host` and reads the answer.
    pub async fn get(&mut self, host: &str, target: &str) -> Answer {
        self.call(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
    }

    /// Reads one answer.
    pub async fn answer(&mut self) -> Answer {
        tokio::time::timeout(WAIT_MAX, self.read_answer()).await.expect("an answer")
    }

    async fn read_answer(&mut self) -> Answer {
        let head = self.head().await;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
        let mut answer = Answer { status, head, body: String::new() };
        if answer.header("transfer-encoding") == "chunked" {
            answer.body = self.chunks().await;
        } else {
            let length = answer.header("content-length").parse().unwrap_or_default();
            answer.body = self.exactly(length).await;
        }
        answer
    }

    /// Reads a status line with headers; the received bytes when the gateway closes instead.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.socket.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    async fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes).await.expect("the whole body");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.socket.read_u8().await.expect("a whole line"));
        }
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    async fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let length = usize::from_str_radix(&self.line().await, 16).expect("a chunk's length");
            body.push_str(&self.exactly(length).await);
            if length == 0 {
                return body;
            }
            self.line().await;
        }
    }

    /// Closes the sending side.
    pub async fn close_half(&mut self) {
        self.socket.get_mut().shutdown().await.expect("still open");
    }

    /// Waits until the gateway closes, and returns the bytes received before.
    pub async fn closed(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset counts as the end too.
        let read = tokio::time::timeout(WAIT_MAX, self.socket.read_to_end(&mut rest)).await;
        read.expect("the gateway closes the connection").ok();
        String::from_utf8_lossy(&rest).into_owned()
    }
}
