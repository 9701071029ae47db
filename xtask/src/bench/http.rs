//! A small load generator: keep-alive HTTP/1.1 clients on threads, each sending the next request
//! after a response.
//!
//! Uses blocking sockets without a client library, whose cost would be measured too.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Timeout of reads and writes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A free port on loopback.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A keep-alive connection that repeats one GET.
pub struct Connection {
    reader: BufReader<TcpStream>,
    request: Vec<u8>,
    status: u16,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    /// Connects; `host` is sent as the Host header.
    pub fn open(address: SocketAddr, host: &str, path: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, READ_TIMEOUT);
        let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(READ_TIMEOUT))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        Ok(Self { reader: BufReader::new(stream), request, status: 200, line: String::new(), body: Vec::new() })
    }

    /// Expects this status instead of 200.
    pub fn expecting(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Sends the request, reads the whole response and returns the time in between.
    pub fn call(&mut self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.reader.get_mut().write_all(&self.request)?;
        self.next_line()?;
        let status = self.line.trim().to_owned();
        let (mut length, mut chunked) = (0, false);
        loop {
            self.next_line()?;
            let header = self.line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().context("a length is a number")?;
            }
            chunked |= header.starts_with("transfer-encoding:") && header.ends_with("chunked");
        }
        if chunked {
            self.read_chunks()?
        } else {
            self.read_body(length)?
        }
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        if code != Some(self.status) {
            bail!("the server answered {status:?}: {}", String::from_utf8_lossy(&self.body).trim());
        }
        Ok(started.elapsed())
    }

    /// Sends another request, and returns its duration and the response's body, which must have a
    /// `Content-Length`.
    pub fn send(&mut self, request: Vec<u8>) -> anyhow::Result<(Duration, &[u8])> {
        self.request = request;
        let time = self.call()?;
        Ok((time, &self.body))
    }

    fn next_line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        if self.reader.read_line(&mut self.line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    fn read_chunks(&mut self) -> anyhow::Result<()> {
        loop {
            self.next_line()?;
            let length = usize::from_str_radix(self.line.trim(), 16).context("a chunk begins with its length")?;
            self.read_body(length + 2)?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn read_body(&mut self, length: usize) -> anyhow::Result<()> {
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body)?;
        Ok(())
    }
}

/// Results of several clients.
pub struct Load {
    /// Responses per second of all clients.
    pub per_second: f64,
    /// Latency of each call, in microseconds.
    pub times_us: Vec<f64>,
}

/// Runs `clients` connections for `time` and collects every call.
pub fn load(address: SocketAddr, host: &str, path: &str, clients: usize, time: Duration) -> anyhow::Result<Load> {
    let started = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let (host, path) = (host.to_owned(), path.to_owned());
            std::thread::spawn(move || -> anyhow::Result<Vec<f64>> {
                let mut connection = Connection::open(address, &host, &path)?;
                let mut times = Vec::new();
                while started.elapsed() < time {
                    times.push(connection.call()?.as_secs_f64() * 1e6);
                }
                Ok(times)
            })
        })
        .collect();
    let mut times_us = Vec::new();
    for thread in threads {
        times_us.extend(thread.join().map_err(|_| anyhow::anyhow!("a client thread panicked"))??);
    }
    Ok(Load { per_second: times_us.len() as f64 / started.elapsed().as_secs_f64(), times_us })
}
