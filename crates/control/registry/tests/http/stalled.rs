//! Stalled clients on plain sockets: one that does not read, and one that does not send.

use std::time::Duration;

use base64::Engine as _;
use registry::Config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::server::{ID, KEY, Server, wait_for};

/// Longest wait for a reaction of the server.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// More than the socket buffers of both sides hold.
const BLOB_BYTES: usize = 32 * 1024 * 1024;

async fn connect(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // So that the server's send buffer fills soon.
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(server.host.parse().unwrap()).await.unwrap()
}

fn request(server: &Server, line: &str, headers: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{ID}:{KEY}"));
    format!("{line} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {pair}\r\n{headers}\r\n", server.host)
}

/// Reads to the end of the connection, by close or reset.
async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut read)).await.expect("the connection ends").ok();
    read
}

/// Open files of the store in this process: a download has one until it ends.
fn open_blobs(server: &Server) -> usize {
    let blobs = server.blobs();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|file| file.starts_with(&blobs))).count()
}

#[tokio::test]
async fn a_client_that_stops_reading_loses_its_connection_and_frees_the_blob() {
    let server = Server::with(Config { download_idle_s: 1, ..Config::default() }).await;
    let digest = server.push_blob("a", vec![7; BLOB_BYTES]).await;
    let mut stream = connect(&server).await;
    let get = request(&server, &format!("GET /v2/a/blobs/{digest}"), "");
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    assert_eq!(open_blobs(&server), 1);
    wait_for(async || (open_blobs(&server) == 0).then_some(())).await;
    // Queued bytes may still arrive.
    assert!(read_to_end(&mut stream).await.len() < BLOB_BYTES);
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    let server = Server::with(Config { download_idle_s: 1, ..Config::default() }).await;
    let digest = server.push_blob("a", vec![7; BLOB_BYTES]).await;
    let mut stream = connect(&server).await;
    let get = request(&server, &format!("GET /v2/a/blobs/{digest}"), "Connection: close\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    // Longer than the timeout as a whole, but never without an acknowledgement for as long.
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let (mut length, mut buffer) = (0, vec![0; 64 * 1024]);
    for _ in 0..25 {
        ticks.tick().await;
        length += stream.read(&mut buffer).await.unwrap();
    }
    length += read_to_end(&mut stream).await.len();
    assert!(length > BLOB_BYTES, "{length} bytes, with the headers");
}

#[tokio::test]
async fn a_stalled_chunk_times_out_and_its_connection_is_closed() {
    let server = Server::with(Config { body_idle_s: 1, uploads_max: 1, ..Config::default() }).await;
    let path = server.begin_upload("a").await;
    let mut stream = connect(&server).await;
    let patch = request(&server, &format!("PATCH {path}"), "Content-Length: 10\r\n");
    stream.write_all(patch.as_bytes()).await.unwrap();
    let answer = String::from_utf8(read_to_end(&mut stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("REQUEST_TIMEOUT") && answer.contains("registry.body_idle_s"), "{answer}");
    // The session can still be resumed.
    assert_eq!(server.get(&path).await.status(), 204);
}

#[tokio::test]
async fn a_stalled_upload_in_one_request_frees_its_session() {
    let server = Server::with(Config { body_idle_s: 1, uploads_max: 1, ..Config::default() }).await;
    let mut stream = connect(&server).await;
    let path = format!("/v2/a/blobs/uploads/?digest={}", crate::server::no_such_digest());
    stream.write_all(request(&server, &format!("POST {path}"), "Content-Length: 10\r\n").as_bytes()).await.unwrap();
    assert!(read_to_end(&mut stream).await.starts_with(b"HTTP/1.1 408 "));
    server.push_blob("a", "x").await;
}

#[tokio::test]
async fn stalled_token_requests_are_limited_in_number_and_time() {
    let server = Server::with(Config { token_requests_max: 1, token_request_wait_s: 1, ..Config::default() }).await;
    let post = format!("POST /v2/token HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\ngrant", server.host);
    let (mut first, mut second) = (connect(&server).await, connect(&server).await);
    first.write_all(post.as_bytes()).await.unwrap();
    second.write_all(post.as_bytes()).await.unwrap();
    let (one, other) = tokio::join!(read_to_end(&mut first), read_to_end(&mut second));
    let mut status = [one, other].map(|answer| String::from_utf8(answer).unwrap()[9..12].to_owned());
    status.sort();
    assert_eq!(status, ["408", "429"]);
}
