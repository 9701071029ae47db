//! A small static HTTP server: the image for trying and testing Sampan.
//!
//! `POST /event-invoke` answers an event; `/` answers a greeting; the routes in `routes.rs`
//! reproduce faults of functions: sleep, exit, print, fill memory. It listens on port 9000, or on
//! `PORT`; with `EXIT_AT_START` it exits at once with that code. `hello walk DIR` lists a directory
//! like the route `/walk`, without a server. `hello job WORDS…` is a job image: it prints its
//! arguments and its event, runs the event's route, and exits.
#![forbid(unsafe_code)]

mod http;
mod routes;
mod walk;

use std::io::{self, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let [command, folder] = arguments.as_slice()
        && command == "walk"
    {
        return list(Path::new(folder));
    }
    if let [command, words @ ..] = arguments.as_slice()
        && command == "job"
    {
        words.iter().for_each(|word| println!("word {}", word.display()));
        return routes::job(&std::env::var("SCF_CUSTOM_CONTAINER_EVENT").unwrap_or_default());
    }
    if let Some(code) = std::env::var("EXIT_AT_START").ok().and_then(|code| code.parse().ok()) {
        println!("ending with {code}, as EXIT_AT_START says");
        std::process::exit(code);
    }
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(9000);
    let listener = match TcpListener::bind(("0.0.0.0", port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on port {port}: {error}");
            std::process::exit(1);
        }
    };
    println!("hello listens on port {port}");
    for connection in listener.incoming().flatten() {
        std::thread::spawn(move || serve(connection));
    }
}

/// Lists a directory on standard output.
fn list(folder: &Path) {
    let mut out = BufWriter::new(io::stdout().lock());
    if let Err(error) = walk::walk(folder, &mut out).and_then(|()| out.flush()) {
        eprintln!("cannot list {}: {error}", folder.display());
        std::process::exit(1);
    }
}

/// Answers the requests of one keep-alive connection until it ends.
fn serve(connection: TcpStream) {
    // Errors of a client's connection are ignored.
    let _ = connection.set_nodelay(true);
    let Ok(writer) = connection.try_clone() else { return };
    let (mut reader, mut writer) = (BufReader::new(connection), writer);
    while let Ok(Some(mut request)) = http::Request::read(&mut reader, &mut writer) {
        let close = request.wants_close();
        if routes::answer(&mut request, &mut writer).is_err() || request.skip_body().is_err() || close {
            return;
        }
    }
}
