//! Clients that are slow, silent, gone or too many, and the gateway's own end.

use std::time::Duration;

use bytes::Bytes;
use gateway::Config;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::Fixture;
use crate::support::raw::Raw;

const HOLD: &str = "GET /fn/default/web/hold HTTP/1.1\r\nHost: a\r\n\r\n";

fn impatient() -> Config {
    Config { header_read_timeout_s: 1, idle_timeout_s: 2, stall_timeout_s: 1, ..Config::default() }
}

#[tokio::test]
async fn a_client_that_never_completes_its_headers_is_dropped() {
    let fixture = Fixture::start_with(impatient()).await;
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut client = fixture.raw().await;
        client.send(beginning).await;
        client.closed().await;
    }
    let mut client = fixture.raw().await;
    assert_eq!(client.get("a", "/fn/default/web/").await.status, 200);
    client.send("GET /slow").await;
    client.closed().await;
    fixture.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let fixture = Fixture::start_with(impatient()).await;
    let (mut idle, mut busy) = (fixture.raw().await, fixture.raw().await);
    assert_eq!(idle.get("a", "/fn/default/web/").await.status, 200);
    busy.send(HOLD).await;
    fixture.server.until_open(1).await;
    assert_eq!(idle.closed().await, "");
    fixture.server.release();
    assert_eq!(busy.answer().await.body, "released");
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_sending_its_body_is_given_up() {
    let fixture = Fixture::start_with(impatient()).await;
    let mut web = fixture.raw().await;
    web.send("POST /fn/default/web/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
    let answer = web.answer().await;
    assert_eq!((answer.status, answer.header("x-scf-status")), (499, "499"), "{answer:?}");
    let mut event = fixture.raw().await;
    event.send("POST /fn/default/event/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
    assert_eq!(event.answer().await.status, 499);
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_lets_go_of_the_instance() {
    let fixture = Fixture::start_with(impatient()).await;
    let mut client = fixture.raw().await;
    client.send("GET /fn/default/web/endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    fixture.server.until_open(0).await;
    fixture.stop().await;
}

async fn h2(fixture: &Fixture) -> http2::SendRequest<Empty<Bytes>> {
    let socket = TcpStream::connect(fixture.address).await.expect("the gateway accepts");
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    sender
}

fn h2_get(target: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://a{target}")).body(Empty::new()).expect("a valid request")
}

#[tokio::test]
async fn one_stalled_http2_stream_lets_go_of_its_instance_and_not_of_the_others() {
    let fixture = Fixture::start_with(impatient()).await;
    let mut sender = h2(&fixture).await;
    let stalled = sender.send_request(h2_get("/fn/default/web/endless")).await.expect("an answer");
    fixture.server.until_open(0).await;
    let other = sender.send_request(h2_get("/fn/default/web/other")).await.expect("the connection lives");
    assert!(other.into_body().collect().await.expect("readable").to_bytes().starts_with(b"{"));
    assert!(stalled.into_body().collect().await.is_err(), "the stalled stream ends in an error");
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_own_request_only() {
    let fixture = Fixture::start().await;
    let mut stays = fixture.raw().await;
    stays.send(HOLD).await;
    fixture.server.until_open(1).await;
    let mut goes = fixture.raw().await;
    goes.send("GET /fn/default/web/endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    fixture.server.until_open(2).await;
    drop(goes);
    fixture.server.until_open(1).await;
    fixture.server.release();
    assert_eq!(stays.answer().await.body, "released");
    fixture.stop().await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_while_all_have_requests() {
    let fixture = Fixture::start_with(Config { connections_max: 1, ..Config::default() }).await;
    let mut first = fixture.raw().await;
    first.send(HOLD).await;
    fixture.server.until_open(1).await;
    let mut second = fixture.raw().await;
    second.send("GET /fn/default/web/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let early = tokio::time::timeout(Duration::from_millis(200), second.answer()).await;
    assert!(early.is_err(), "the second was served beside the first: {early:?}");
    fixture.server.release();
    assert_eq!(first.answer().await.body, "released");
    assert_eq!(second.answer().await.status, 200);
    assert_eq!(first.closed().await, "", "it made room");
    fixture.stop().await;
}

#[tokio::test]
async fn the_longest_idle_connection_of_the_biggest_holder_makes_room() {
    let fixture = Fixture::start_with(Config { connections_max: 6, ..Config::default() }).await;
    let mut quiet = Raw::connect_from([127, 0, 0, 2], fixture.address).await;
    assert_eq!(quiet.get("a", "/fn/default/web/").await.status, 200);
    let mut busy = fixture.raw().await;
    busy.send(HOLD).await;
    fixture.server.until_open(1).await;
    let mut flood = Vec::new();
    for number in 0..40 {
        let mut held = fixture.raw().await;
        // Some begin a head that never ends.
        if number % 2 == 0 {
            held.send("GET / HTTP/1.1\r\nX: ").await;
        }
        flood.push(held);
    }
    let mut newcomer = Raw::connect_from([127, 0, 0, 3], fixture.address).await;
    assert_eq!(newcomer.get("a", "/fn/default/web/").await.status, 200);
    assert_eq!(quiet.get("a", "/fn/default/web/").await.status, 200, "it is still there");
    for mut oldest in flood.drain(..30) {
        oldest.closed().await;
    }
    fixture.server.release();
    assert_eq!(busy.answer().await.body, "released");
    fixture.stop().await;
}

#[tokio::test]
async fn at_the_end_requests_under_way_are_answered_and_nothing_new_is_taken() {
    let fixture = Fixture::start().await;
    let (mut busy, mut idle) = (fixture.raw().await, fixture.raw().await);
    assert_eq!(idle.get("a", "/fn/default/web/").await.status, 200);
    busy.send(HOLD).await;
    fixture.server.until_open(1).await;
    fixture.shutdown.cancel();
    assert_eq!(idle.closed().await, "");
    while TcpStream::connect(fixture.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    fixture.server.release();
    let answer = busy.answer().await;
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("released", "close"));
    fixture.stop().await;
}

#[tokio::test]
async fn the_end_does_not_wait_longer_than_it_may() {
    let fixture = Fixture::start_with(Config { drain_s: 1, ..Config::default() }).await;
    let mut busy = fixture.raw().await;
    busy.send(HOLD).await;
    fixture.server.until_open(1).await;
    fixture.stop().await;
    assert_eq!(busy.closed().await, "");
}
