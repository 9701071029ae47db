//! The routes. Those with a query take one value, such as `/sleep?250`.

use std::io::{self, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::http::{Request, begin_chunks, chunk, end_chunks, respond};
use crate::walk;

/// Length of a chunk of `/echo` and `/walk`.
const CHUNK_BYTES: usize = 64 * 1024;
/// Page size in bytes; writing one byte of each page makes memory resident.
const PAGE_BYTES: usize = 4096;

/// Answers one request.
pub fn answer(request: &mut Request<'_>, writer: &mut TcpStream) -> io::Result<()> {
    // Routes of load tests print nothing.
    if !matches!(request.path(), "/" | "/parts") {
        println!("{} {}", request.method, request.target);
    }
    let query = request.query().to_owned();
    let number = query.parse::<u64>().unwrap_or_default();
    match request.path() {
        "/event-invoke" => event(request, writer),
        "/env" => text(request, writer, &std::env::var(&query).unwrap_or_default()),
        "/args" => text(request, writer, &std::env::args().collect::<Vec<_>>().join("\n")),
        "/headers" => headers(request, writer),
        "/echo" => echo(request, writer),
        "/exit" => std::process::exit(i32::try_from(number).unwrap_or(1)),
        "/sleep" => {
            std::thread::sleep(Duration::from_millis(number));
            text(request, writer, "slept")
        }
        "/spin" => {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(number) {
                std::hint::spin_loop();
            }
            text(request, writer, "spun")
        }
        "/alloc" => {
            let held = allocate(number);
            text(request, writer, &format!("holding {} MB", held.len() >> 20))
        }
        "/print" => {
            print_lines(number);
            text(request, writer, "printed")
        }
        "/status" => respond(writer, request, u16::try_from(number).unwrap_or(500), "text/plain", b"as you wish"),
        "/big" => respond(writer, request, 200, "application/octet-stream", &vec![b'x'; number as usize]),
        "/chunks" => chunks(request, writer, number),
        "/parts" => parts(writer),
        "/write" => write_file(request, writer, &query),
        "/read" => read_file(request, writer, &query),
        "/walk" => walk_files(writer, &query),
        _ => greeting(request, writer),
    }
}

fn text(request: &Request<'_>, writer: &mut TcpStream, body: &str) -> io::Result<()> {
    respond(writer, request, 200, "text/plain; charset=utf-8", body.as_bytes())
}

fn greeting(request: &Request<'_>, writer: &mut TcpStream) -> io::Result<()> {
    let id = request.header("x-scf-request-id").unwrap_or("none");
    let body = format!("hello from Sampan: {} {} (request {id})\n", request.method, request.target);
    text(request, writer, &body)
}

/// Sends head and body separately over a socket without TCP_NODELAY, as many simple servers do:
/// with Nagle's algorithm the body waits until the head is acknowledged.
fn parts(writer: &mut TcpStream) -> io::Result<()> {
    let body = "head and body apart\n";
    writer.set_nodelay(false)?;
    writer.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())?;
    writer.write_all(body.as_bytes())
}

/// Answers an event with itself. An object with a key `route` runs that route, so that event
/// functions can fail in the same ways as web functions.
fn event(request: &mut Request<'_>, writer: &mut TcpStream) -> io::Result<()> {
    let mut body = String::new();
    request.read_to_string(&mut body)?;
    match route_of(&body) {
        Some(("sleep", value)) => std::thread::sleep(Duration::from_millis(value)),
        Some(("exit", value)) => std::process::exit(i32::try_from(value).unwrap_or(1)),
        Some(("alloc", value)) => drop(allocate(value)),
        Some(("print", value)) => print_lines(value),
        Some(("status", value)) => {
            let status = u16::try_from(value).unwrap_or(500);
            return respond(writer, request, status, "application/json", b"{\"error\":\"as you wish\"}");
        }
        Some(("big", value)) => {
            let body = format!("\"{}\"", "x".repeat(value as usize));
            return respond(writer, request, 200, "application/json", body.as_bytes());
        }
        _ => {}
    }
    let body = if body.is_empty() { "null" } else { &body };
    respond(writer, request, 200, "application/json", format!("{{\"hello\":\"world\",\"event\":{body}}}").as_bytes())
}

/// The response of the platform's gateway to a POST of `{}`; the event's key `path` is the path.
fn call(port: u16, event: &str) -> String {
    let path = event.split_once("\"path\":\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or("/");
    let request = format!("POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}");
    let mut answer = String::new();
    let called = TcpStream::connect(("gateway.sampan.internal", port)).and_then(|mut stream| {
        stream.write_all(request.as_bytes())?;
        stream.read_to_string(&mut answer)
    });
    called.map_or_else(|error| format!("error {error}"), |_| answer.replace("\r\n", " "))
}

/// Prints an event and runs its route, as [`event`] does, without a server. The last line has no
/// newline.
pub fn job(event: &str) {
    println!("event of {} bytes: {}", event.len(), event.get(..200).unwrap_or(event));
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (index, size) = (variable("SAMPAN_ARRAY_INDEX"), variable("SAMPAN_ARRAY_SIZE"));
    if !index.is_empty() {
        println!("index {index} of {size}, attempt {}", variable("SAMPAN_ATTEMPT"));
    }
    match route_of(event) {
        Some(("call", port)) => {
            println!("depth {}", variable("SAMPAN_CHAIN_DEPTH"));
            println!("called: {}", call(u16::try_from(port).unwrap_or(80), event));
        }
        Some(("odd", _)) if index.parse().is_ok_and(|index: u32| index % 2 == 1) => std::process::exit(4),
        Some(("sleep", value)) => std::thread::sleep(Duration::from_millis(value)),
        Some(("exit", value)) => {
            print!("the last words");
            let _ = io::stdout().flush();
            std::process::exit(i32::try_from(value).unwrap_or(1))
        }
        Some(("alloc", value)) => drop(allocate(value)),
        Some(("print", value)) => print_lines(value),
        Some(("abort", _)) => std::process::abort(),
        _ => {}
    }
    print!("the last words");
    let _ = io::stdout().flush();
}

/// Finds `"route":"name?value"` without a JSON parser, which the standard library lacks.
fn route_of(event: &str) -> Option<(&str, u64)> {
    let rest = event.split_once("\"route\"")?.1.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let (name, value) = rest.split('"').next()?.split_once('?')?;
    Some((name, value.parse().ok()?))
}

fn headers(request: &Request<'_>, writer: &mut TcpStream) -> io::Result<()> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let pairs: Vec<_> = request.headers.iter().map(|(n, v)| format!("[{},{}]", quoted(n), quoted(v))).collect();
    respond(writer, request, 200, "application/json", format!("[{}]", pairs.join(",")).as_bytes())
}

/// Streams the body back, with its length in a trailer.
fn echo(request: &mut Request<'_>, writer: &mut TcpStream) -> io::Result<()> {
    begin_chunks(writer, "application/octet-stream", "X-Echo-Bytes")?;
    let (mut buffer, mut total) = (vec![0; CHUNK_BYTES], 0);
    loop {
        let read = request.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        total += read;
        chunk(writer, &buffer[..read])?;
    }
    end_chunks(writer, &format!("X-Echo-Bytes: {total}\r\n"))
}

fn chunks(request: &Request<'_>, writer: &mut TcpStream, count: u64) -> io::Result<()> {
    let interval = request.header("x-interval-ms").and_then(|v| v.parse().ok()).unwrap_or(0);
    begin_chunks(writer, "text/plain", "")?;
    for number in 0..count {
        chunk(writer, format!("chunk {number}\n").as_bytes())?;
        std::thread::sleep(Duration::from_millis(interval));
    }
    end_chunks(writer, "")
}

fn allocate(megabytes: u64) -> Vec<u8> {
    let mut held = vec![0; (megabytes as usize) << 20];
    for page in held.iter_mut().step_by(PAGE_BYTES) {
        *page = 1;
    }
    // Reading prevents the optimiser from removing the allocation.
    assert!(held.iter().step_by(PAGE_BYTES).all(|byte| std::hint::black_box(*byte) == 1));
    held
}

fn print_lines(count: u64) {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    for number in 0..count {
        let _ = writeln!(out, "line {number} to stdout");
        let _ = writeln!(err, "line {number} to stderr");
    }
}

/// `/write?/path:megabytes` writes a file of that size and reports the result.
fn write_file(request: &Request<'_>, writer: &mut TcpStream, query: &str) -> io::Result<()> {
    let (path, megabytes) = query.split_once(':').unwrap_or((query, "1"));
    let written = std::fs::File::create(path).and_then(|mut file| {
        let block = vec![7; 1 << 20];
        (0..megabytes.parse().unwrap_or(1)).try_for_each(|_| file.write_all(&block))
    });
    match written {
        Ok(()) => text(request, writer, "written"),
        Err(error) => respond(writer, request, 507, "text/plain", error.to_string().as_bytes()),
    }
}

fn read_file(request: &Request<'_>, writer: &mut TcpStream, path: &str) -> io::Result<()> {
    match std::fs::read(path) {
        Ok(bytes) => respond(writer, request, 200, "application/octet-stream", &bytes),
        Err(error) => respond(writer, request, 404, "text/plain", error.to_string().as_bytes()),
    }
}

/// `/walk?/path` lists a directory (see `walk.rs`); a response without a last chunk was aborted.
fn walk_files(writer: &mut TcpStream, path: &str) -> io::Result<()> {
    begin_chunks(writer, "application/jsonl", "")?;
    let mut lines = BufWriter::with_capacity(CHUNK_BYTES, Chunks(writer));
    walk::walk(Path::new(path), &mut lines)?;
    lines.flush()?;
    drop(lines);
    end_chunks(writer, "")
}

/// Writes each buffer as a chunk of a response.
struct Chunks<'a>(&'a mut TcpStream);

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        chunk(self.0, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
