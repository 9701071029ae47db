//! Byte quotas of bodies: unauthenticated and slow clients do not block other calls.

use api::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Platform, SECRET_ID, now_s};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000";

/// Begins a request and sends a part of its body.
async fn begin(platform: &Platform, headers: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(&platform.host).await.unwrap();
    let text = format!("POST / HTTP/1.1\r\nHost: {}\r\n{headers}\r\n\r\n{body}", platform.host);
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

/// Reads from a connection until the answer contains `with`.
async fn answered(socket: &mut TcpStream, with: &str) {
    let mut text = String::new();
    while !text.contains(with) {
        let mut piece = [0; 4096];
        let read = socket.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "{text}");
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
}

/// Head of a signed request; `secret_id` may be unknown to this installation.
fn signed_head(secret_id: &str) -> String {
    let (now, hex) = (jiff::Timestamp::now(), "0".repeat(64));
    let date = now.strftime("%Y-%m-%d");
    format!(
        "Content-Type: application/json\r\nX-TC-Timestamp: {}\r\nAuthorization: TC3-HMAC-SHA256 \
         Credential={secret_id}/{date}/scf/tc3_request, SignedHeaders=content-type;host, Signature={hex}\r\n\
         Content-Length: 10000000",
        now_s()
    )
}

#[tokio::test]
async fn a_head_that_nothing_can_follow_is_answered_without_its_body() {
    let platform = Platform::start().await;
    let json = "Content-Type: application/json\r\nContent-Length: 10000000";
    for (headers, code) in [
        (json.to_owned(), "AuthFailure.InvalidAuthorization"),
        ("Content-Length: 65536".to_owned(), "AuthFailure.InvalidAuthorization"),
        ("Transfer-Encoding: chunked".to_owned(), "AuthFailure.InvalidAuthorization"),
        (format!("Authorization: Bearer x\r\n{json}"), "AuthFailure.InvalidAuthorization"),
        (signed_head("AKIDstranger"), "AuthFailure.SecretIdNotFound"),
        (format!("Expect: 100-continue\r\n{}", signed_head("AKIDstranger")), "AuthFailure.SecretIdNotFound"),
    ] {
        answered(&mut begin(&platform, &headers, "").await, code).await;
    }
    platform.stop().await;
}

#[tokio::test]
async fn a_declared_length_holds_nothing() {
    let platform = Platform::start_with(Config { held_bytes_max: 512 << 10, ..Config::default() }).await;
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(begin(&platform, &signed_head(SECRET_ID), "").await);
    }
    platform.ok("ListFunctions", json!({})).await;
    platform.stop_after(held).await;
}

#[tokio::test]
async fn what_arrived_is_held_and_not_more_than_may_be() {
    let platform = Platform::start_with(Config { held_bytes_max: 128 << 10, ..Config::default() }).await;
    let mut large = begin(&platform, &signed_head(SECRET_ID), &" ".repeat(200 << 10)).await;
    answered(&mut large, "held_bytes_max").await;
    platform.ok("ListFunctions", json!({})).await;
    platform.stop_after(vec![large]).await;
}

#[tokio::test]
async fn forms_that_anyone_may_send_are_few_short_and_apart_from_the_rest() {
    let config = Config { unsigned_held_bytes_max: 128 << 10, unsigned_body_wait_ms_max: 300, ..Config::default() };
    let platform = Platform::start_with(config).await;
    let mut large = begin(&platform, FORM, &"a".repeat(200 << 10)).await;
    answered(&mut large, "unsigned_held_bytes_max").await;
    drop(large);
    let mut first = begin(&platform, FORM, "Action=").await;
    let _second = begin(&platform, FORM, "Action=").await;
    platform.ok("ListFunctions", json!({})).await;
    answered(&mut first, "did not arrive within 300 ms").await;
    platform.stop().await;
}
