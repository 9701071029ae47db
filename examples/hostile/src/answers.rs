//! Invalid responses: too slow, too large, endless, or not HTTP.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Interval of bytes in a slow response.
const DRIP: Duration = Duration::from_millis(50);
const OK: &str = "HTTP/1.1 200 OK\r\n";
/// Length of a block in a large response.
const BLOCK_BYTES: usize = 64 << 10;

/// Sends the response of that name.
pub fn send(name: &str, to: &mut TcpStream) -> io::Result<()> {
    let mut put = |text: &str| to.write_all(text.as_bytes());
    match name {
        "dripping-head" => drip(to, OK, "X-Drip: "),
        "dripping-body" => drip(to, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", ""),
        "endless-body" => endless(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nbytes\r\n"),
        "endless-header" => endless(to, "HTTP/1.1 200 OK\r\nX-Endless: ", "x"),
        "endless-headers" => endless(to, OK, "X-Endless: x\r\n"),
        "endless-information" => endless(to, "", "HTTP/1.1 100 Continue\r\n\r\n"),
        "endless-trailers" => {
            endless(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-Endless: x\r\n")
        }
        "endless-chunk-size" => endless(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0"),
        "large-header" => put(&format!("{OK}X-Large: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(5_000))),
        "no-http" => put("220 this is no HTTP\r\n\r\n"),
        "two-lengths" => put("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        "switching" => put("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "another-answer" => {
            put("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")
        }
        name if name.starts_with("raw=") => raw(to, &name["raw=".len()..]),
        "half" => put("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"),
        _ => Ok(()),
    }
}

/// Sends the bytes of hexadecimal digits, followed by as many `x` as the number after `+`.
fn raw(to: &mut TcpStream, digits: &str) -> io::Result<()> {
    let (digits, fill) = digits.split_once('+').unwrap_or((digits, "0"));
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let mut bytes: Vec<u8> = (0..digits.len()).step_by(2).map_while(byte).collect();
    bytes.resize(bytes.len() + fill.parse().unwrap_or(0), b'x');
    to.write_all(&bytes)
}

/// Sends one byte at a time, forever.
fn drip(to: &mut TcpStream, first: &str, then: &str) -> io::Result<()> {
    to.set_nodelay(true)?;
    to.write_all(first.as_bytes())?;
    to.write_all(then.as_bytes())?;
    loop {
        to.write_all(b"x")?;
        std::thread::sleep(DRIP);
    }
}

/// Sends the same bytes repeatedly, as fast as possible.
fn endless(to: &mut TcpStream, first: &str, again: &str) -> io::Result<()> {
    to.write_all(first.as_bytes())?;
    let block = again.repeat(BLOCK_BYTES / again.len());
    loop {
        to.write_all(block.as_bytes())?;
    }
}
