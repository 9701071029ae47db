//! Endless HTTP/2 frames without content: from a caller, and from a function that is called over
//! HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use gateway::Config;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Fixture;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longest wait for the end of a connection.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// More than the sockets of both sides can buffer together.
const FLOOD_BYTES: usize = 64 << 20;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("short");
    [&[0, 0, len, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Frames that may each be sent at any time, by their names.
fn floods() -> [(&'static str, Vec<u8>); 5] {
    [
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 0, 7])),
        ("SETTINGS", frame(4, 0, 0, &[])),
        ("PING", frame(6, 0, 0, &[7; 8])),
        ("WINDOW_UPDATE", frame(8, 0, 0, &[0, 0, 0, 1])),
        ("unknown", frame(77, 0, 1, b"x")),
    ]
}

/// Sends a frame again and again until the other side closes the connection; returns whether it
/// did.
async fn is_cut_off(socket: TcpStream, frame: &[u8]) -> bool {
    let (mut reader, mut writer) = socket.into_split();
    // Responses are read, so that the other side does not block on them.
    let reading = tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
    let piece = frame.repeat(4096);
    let flood = async {
        let mut sent = 0;
        while sent < FLOOD_BYTES {
            if writer.write_all(&piece).await.is_err() {
                return true;
            }
            sent += piece.len();
        }
        false
    };
    let cut_off = tokio::time::timeout(WAIT_MAX, flood).await.unwrap_or(false);
    reading.abort();
    cut_off
}

#[tokio::test]
async fn a_caller_that_sends_frames_without_content_is_cut_off() {
    let fixture = Fixture::start().await;
    for (name, frame) in floods() {
        let mut socket = TcpStream::connect(fixture.address).await.expect("the gateway accepts");
        socket.write_all(&[PREFACE, &self::frame(4, 0, 0, &[])].concat()).await.expect("the gateway reads");
        assert!(is_cut_off(socket, &frame).await, "{name}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_caller_of_many_small_calls_is_not_cut_off() {
    let config = Config { h2_control_frames_max: 50, h2_control_frames_per_s_max: 1, ..Config::default() };
    let fixture = Fixture::start_with(config).await;
    let socket = TcpStream::connect(fixture.address).await.expect("the gateway accepts");
    socket.set_nodelay(true).expect("a socket");
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    for number in 0..500 {
        let request = Request::post("http://a/fn/default/web/x").body(Full::new(Bytes::from("x".repeat(number * 10))));
        let answer = sender.send_request(request.expect("valid")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.expect("a whole answer");
    }
    fixture.stop().await;
}

/// A server that sends no response but floods with frames as soon as a call arrives.
async fn flooding_server(frame: Vec<u8>) -> (std::net::SocketAddr, tokio::task::JoinHandle<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("the platform connects");
        socket.read_exact(&mut [0; PREFACE.len()]).await.expect("it speaks HTTP/2");
        socket.write_all(&self::frame(4, 0, 0, &[])).await.expect("it reads");
        is_cut_off(socket, &frame).await
    });
    (address, served)
}

#[tokio::test]
async fn a_function_that_sends_frames_without_content_is_cut_off() {
    let interim = frame(1, 4, 1, &[0x08, 3, b'1', b'0', b'3']);
    for (name, frame) in floods().into_iter().chain([("interim HEADERS", interim)]) {
        let (address, served) = flooding_server(frame).await;
        let fixture = Fixture::start_over(Config::default(), invoke::Config::default(), address).await;
        let mut client = fixture.raw().await;
        client
            .send("POST /fn/default/web/s/m HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
            .await;
        assert!(served.await.expect("no panic"), "{name}");
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{name}: a failure of gRPC");
        assert_ne!(answer.header("grpc-status"), "0", "{name}: {answer:?}");
        fixture.stop().await;
    }
}
