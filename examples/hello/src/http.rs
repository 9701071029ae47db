//! The subset of HTTP/1.1 (RFC 9112) that the example needs: request heads, bodies by length or in
//! chunks, responses.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;

/// Longest request line or header line, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Most header lines.
const HEADERS_MAX: usize = 256;

/// A request whose body is read on demand.
pub struct Request<'a> {
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    reader: &'a mut BufReader<TcpStream>,
    body: Body,
}

enum Body {
    Length(u64),
    /// Bytes left of the current chunk; `None` before the first one.
    Chunks(Option<u64>),
    Done,
}

impl<'a> Request<'a> {
    /// Reads the next request's head; `None` when the client has closed. Sends `100 Continue`
    /// immediately for `Expect: 100-continue`.
    pub fn read(reader: &'a mut BufReader<TcpStream>, writer: &mut TcpStream) -> io::Result<Option<Self>> {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(None);
        }
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(Error::new(ErrorKind::InvalidData, "no request line"));
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = read_line(reader)?;
            if line.is_empty() {
                break;
            }
            if headers.len() == HEADERS_MAX {
                return Err(Error::new(ErrorKind::InvalidData, "too many headers"));
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let mut request = Self { method, target, headers, reader, body: Body::Done };
        request.body = match (request.header("transfer-encoding"), request.header("content-length")) {
            (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Body::Chunks(None),
            (_, Some(length)) => Body::Length(length.parse().map_err(|_| Error::from(ErrorKind::InvalidData))?),
            _ => Body::Done,
        };
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(Some(request))
    }

    /// Returns the first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The text after the `?`; empty without one.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// Whether the client wants the connection closed after the response.
    pub fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Reads the rest of the body, so that the next request begins after it.
    pub fn skip_body(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }
}

impl Read for Request<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Body::Chunks(left @ (None | Some(0))) = self.body {
            if left.is_some() {
                read_line(self.reader)?;
            }
            let line = read_line(self.reader)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = u64::from_str_radix(digits, 16).map_err(|_| Error::from(ErrorKind::InvalidData))?;
            self.body = Body::Chunks(Some(length));
            if length == 0 {
                while !read_line(self.reader)?.is_empty() {}
                self.body = Body::Done;
            }
        }
        let left = match &mut self.body {
            Body::Length(left) | Body::Chunks(Some(left)) => left,
            Body::Chunks(None) | Body::Done => return Ok(0),
        };
        let wanted = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        if wanted == 0 {
            self.body = Body::Done;
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        *left -= read as u64;
        Ok(read)
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    while matches!(line.last(), Some(b'\r' | b'\n')) {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| ErrorKind::InvalidData.into())
}

/// Writes a complete response with its length; omits the body where HTTP has none.
pub fn respond(writer: &mut TcpStream, request: &Request<'_>, status: u16, kind: &str, body: &[u8]) -> io::Result<()> {
    let bodiless = matches!(status, 204 | 304);
    let length = if bodiless { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let mut answer = format!("HTTP/1.1 {status} {status}\r\nContent-Type: {kind}\r\n{length}\r\n").into_bytes();
    if request.method != "HEAD" && !bodiless {
        answer.extend_from_slice(body);
    }
    writer.write_all(&answer)
}

/// Begins a chunked response.
pub fn begin_chunks(writer: &mut TcpStream, kind: &str, trailer: &str) -> io::Result<()> {
    let trailer = if trailer.is_empty() { String::new() } else { format!("Trailer: {trailer}\r\n") };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{trailer}Transfer-Encoding: chunked\r\n\r\n");
    writer.write_all(head.as_bytes())
}

/// Writes one chunk; omits an empty one, which would end the response.
pub fn chunk(writer: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    writer.write_all(&framed)
}

/// Ends a chunked response; `trailers` are whole lines with their line ends.
pub fn end_chunks(writer: &mut TcpStream, trailers: &str) -> io::Result<()> {
    writer.write_all(format!("0\r\n{trailers}\r\n").as_bytes())
}
