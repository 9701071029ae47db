//! Raw responses of a server and what callers receive: conflicting lengths, truncated bodies, large
//! heads, interim responses, and responses sent before the request was read.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fmt::Write;

use anyhow::Context;
use e2e::{Platform, hostile, tools};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn platform() -> anyhow::Result<Platform> {
    let platform = Platform::start().await?;
    hostile::push(&platform).await?;
    platform.deploy("raw", "hostile:v1", &["--timeout", "5"]).await?;
    Ok(platform)
}

/// A path whose response is exactly these bytes, followed by `fill` times `x`.
fn path(bytes: &str, fill: usize) -> String {
    let mut path = "/answer?raw=".to_owned();
    for byte in bytes.bytes() {
        write!(path, "{byte:02x}").expect("text takes all");
    }
    if fill > 0 {
        write!(path, "+{fill}").expect("text takes all");
    }
    path
}

/// Sends a head of these lines, and a body, and returns everything until the connection is closed.
async fn call(
    platform: &Platform,
    function: &str,
    method: &str,
    path: &str,
    lines: &str,
    body: &[u8],
) -> anyhow::Result<String> {
    let address = platform.gateway.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await?;
    let head = format!("{method} /fn/default/{function}{path} HTTP/1.1\r\nHost: {address}\r\n{lines}\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(body).await?;
    let mut got = Vec::new();
    tokio::time::timeout(e2e::wait::WAIT_MAX, socket.read_to_end(&mut got)).await??;
    Ok(String::from_utf8_lossy(&got).into_owned())
}

async fn get(platform: &Platform, bytes: &str) -> anyhow::Result<String> {
    call(platform, "raw", "GET", &path(bytes, 0), "Connection: close\r\n", b"").await
}

/// The log of the request that has this response.
async fn log(platform: &Platform, got: &str) -> anyhow::Result<String> {
    let id = got.lines().find_map(|line| line.strip_prefix("x-scf-request-id: ")).context("there is a request id")?;
    let log = platform.api.log_of("raw", id).await?;
    Ok(log["Log"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn answers_with_two_lengths_are_delivered_complete() -> anyhow::Result<()> {
    let platform = platform().await?;
    for answer in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n\r\nwhole",
        "Content-Length: 5, 5\r\n\r\nwhole",
    ] {
        let got = get(&platform, &format!("HTTP/1.1 200 OK\r\n{answer}")).await?;
        assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("whole"), "{answer}: {got}");
    }
    let got = get(&platform, "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nlate").await?;
    assert!(got.starts_with("HTTP/1.1 204 No Content\r\n") && !got.contains("late"), "{got}");
    assert_eq!(hostile::attack(&platform, "raw", "/").await?, "hostile\n");
    platform.stop().await
}

#[tokio::test]
async fn a_truncated_body_is_delivered_truncated_and_counts_as_failed() -> anyhow::Result<()> {
    let platform = platform().await?;
    let got = get(&platform, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").await?;
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("half"), "{got}");
    let log = log(&platform, &got).await?;
    assert!(log.contains("\"statusCode\":430"), "{log}");
    platform.stop().await
}

#[tokio::test]
async fn large_heads_pass_and_oversized_ones_are_named() -> anyhow::Result<()> {
    let platform = platform().await?;
    let cookies = format!("Set-Cookie: {}\r\n", "x".repeat(1000)).repeat(8);
    let got = get(&platform, &format!("HTTP/1.1 200 Fine\r\n{cookies}Content-Length: 2\r\n\r\nok")).await?;
    assert!(got.starts_with("HTTP/1.1 200 Fine\r\n") && got.ends_with("ok"), "{got}");
    let got = call(&platform, "raw", "GET", "/answer?endless-headers", "Connection: close\r\n", b"").await?;
    assert!(got.starts_with("HTTP/1.1 407 ResponseTooLarge\r\n"), "{got}");
    assert!(got.contains("invoke.web_response_headers_max"), "{got}");
    let got = call(&platform, "raw", "GET", "/answer?no-http", "Connection: close\r\n", b"").await?;
    assert!(got.starts_with("HTTP/1.1 430 User code exception caught\r\n"), "{got}");
    let said = tools::run(&mut platform.cli(&["invoke", "raw", "--path", "/answer?no-http"])).await?;
    assert!(said.stderr.contains("430 User code exception caught, "), "{}", said.stderr);
    assert!(
        said.stderr.contains("the invocation failed with status 430 User code exception caught"),
        "{}",
        said.stderr
    );
    let got = call(&platform, "raw", "POST", "/", "Content-Length: 6291457\r\nConnection: close\r\n", b"").await?;
    assert!(got.starts_with("HTTP/1.1 406 RequestTooLarge\r\n"), "{got}");
    assert!(got.contains("invoke.web_request_bytes_max"), "{got}");
    platform.stop().await
}

#[tokio::test]
async fn interim_answers_are_limited_and_an_early_answer_is_delivered() -> anyhow::Result<()> {
    let platform = platform().await?;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(3);
    let got = get(&platform, &format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).await?;
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("ok"), "{got}");
    let got = call(&platform, "raw", "GET", "/answer?endless-information", "Connection: close\r\n", b"").await?;
    assert!(got.starts_with("HTTP/1.1 430 ") && got.contains("invoke.interim_responses_max"), "{got}");
    let early = path("HTTP/1.1 413 Content Too Large\r\nContent-Length: 6\r\n\r\nenough", 0);
    let body = vec![b'x'; 4 << 20];
    let lines = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
    for round in 0..5 {
        let got = call(&platform, "raw", "POST", &early, &lines, &body).await?;
        assert!(got.starts_with("HTTP/1.1 413 ") && got.ends_with("enough"), "round {round}: {got}");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_long_websocket_frame_of_the_function_passes() -> anyhow::Result<()> {
    let platform = platform().await?;
    platform.deploy("chat", "hostile:v1", &["--websocket", "--timeout", "5"]).await?;
    let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    // A text frame of 300,000 bytes.
    let frame = path(switched, 0) + "817f00000000000493e0+300000";
    let lines = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let got = call(&platform, "chat", "GET", &frame, lines, b"").await?;
    assert!(got.starts_with("HTTP/1.1 101 "), "{}", &got[..got.len().min(300)]);
    assert_eq!(got.matches('x').count() - got[..got.find("\r\n\r\n").unwrap_or(0)].matches('x').count(), 300_000);
    platform.stop().await
}
