//! An image that attacks whatever runs it: each path of its HTTP server on port 9000 is one attack, and the answer says
//! what came of it, one `name outcome` a line. An outcome that is a number is the error number, 0 when it went ahead.
//!
//! Owns the way from a path to its attack. Must not know what should come of any: the tests that deploy it do.

mod answers;
mod bombs;
mod calls;
mod files;
mod network;
mod processes;

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Stack of a connection's thread; the default would let few connections fill a small instance.
const STACK_BYTES: usize = 256 << 10;

fn main() {
    let listener = TcpListener::bind(("0.0.0.0", 9000)).expect("nobody else listens here");
    println!("hostile listens");
    for connection in listener.incoming().flatten() {
        // Where no thread can be made, the next connection may find room again.
        let _ = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || serve(connection));
    }
}

/// Answers one request; a connection that breaks is the caller's business.
fn serve(mut connection: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(connection.try_clone().ok()?).lines().map_while(Result::ok);
    let first = lines.next()?;
    let target = first.split(' ').nth(1)?.to_owned();
    // Heads end with an empty line; none of the requests needs its body.
    lines.find(String::is_empty)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    if path == "/answer" {
        return answers::send(query, &mut connection).ok();
    }
    let text = attack(path, query);
    respond(&mut connection, &text).ok()
}

fn respond(connection: &mut TcpStream, text: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    connection.write_all(format!("{head}{text}").as_bytes())
}

fn attack(path: &str, query: &str) -> String {
    match path {
        "/calls" => calls::all(),
        "/read" => files::read(query),
        "/open" => files::open_for_writing(query),
        "/list" => files::list(query),
        "/writable" => files::writable(query),
        "/processes" => processes::all(),
        "/signal" => processes::signal(query),
        "/sleep" => processes::sleep(query),
        "/abort" => processes::abort(),
        "/connect" => network::connect(query),
        "/ask" => network::ask(query),
        "/resolve" => network::resolve(query),
        "/send" => network::send(query),
        "/forks" => bombs::forks(),
        "/fork-bomb" => bombs::fork_for_ever(),
        "/threads" => bombs::threads(),
        "/memory" => bombs::memory(),
        "/files" => bombs::files(),
        "/watches" => bombs::watches(),
        "/signals" => bombs::signals(),
        "/held" => network::held(query),
        "/fill" => bombs::fill(query),
        "/inodes" => bombs::inodes(query),
        "/shared-memory" => bombs::shared_memory(),
        "/print" => bombs::print(query),
        _ => "hostile\n".to_owned(),
    }
}
