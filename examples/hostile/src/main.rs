//! An image that attacks its sandbox: each path of its HTTP server on port 9000 is one attack, and
//! the response has its results, one `name outcome` per line. A number is the error number; 0 means
//! success.
//!
//! The tests that deploy it determine which results are correct.

mod answers;
mod bombs;
mod calls;
mod files;
mod network;
mod processes;
mod shared;

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Stack of a connection's thread; with the default size a few connections would fill a small
/// instance.
const STACK_BYTES: usize = 256 << 10;

fn main() {
    if std::env::args().nth(1).is_some_and(|word| word == "euid") {
        return println!("{}", shared::effective_user());
    }
    let listener = TcpListener::bind(("0.0.0.0", 9000)).expect("nobody else listens here");
    println!("hostile listens");
    for connection in listener.incoming().flatten() {
        // When no thread can be created, a later connection may succeed.
        let _ = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || serve(connection));
    }
}

/// Answers one request; errors of a client's connection are ignored.
fn serve(mut connection: TcpStream) -> Option<()> {
    let mut lines = BufReader::new(connection.try_clone().ok()?).lines().map_while(Result::ok);
    let first = lines.next()?;
    let target = first.split(' ').nth(1)?.to_owned();
    // Heads end with an empty line; no request needs its body.
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
        "/http" => network::http(query),
        "/again" => network::again(query),
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
        "/put" => shared::put(query),
        "/link" => shared::link(query),
        "/directory" => shared::directory(query),
        "/device" => shared::device(query),
        "/set-id" => shared::set_id(query),
        "/run" => shared::run(query),
        "/exchange" => shared::exchange(query),
        "/lock" => shared::lock(query),
        "/watch" => shared::watch(query),
        "/spread" => shared::spread(query),
        "/scavenge" => shared::scavenge(query),
        _ => "hostile\n".to_owned(),
    }
}
