//! Destinations and callbacks: messages sent at the end of events, received by an endpoint of the
//! test.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use e2e::{AsyncClient, Platform, tools, wait};
use parking_lot::Mutex;
use serde_json::{Value, json};

type Noted = Arc<Mutex<Vec<(axum::http::HeaderMap, Value, axum::body::Bytes)>>>;

async fn note(State(noted): State<Noted>, request: Request) {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    noted.lock().push((head.headers, serde_json::from_slice(&body).unwrap_or_default(), body));
}

/// An endpoint on this machine, and its received requests.
async fn endpoint() -> anyhow::Result<(String, Noted)> {
    let noted = Noted::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let router = Router::new().fallback(note).with_state(Arc::clone(&noted));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((url, noted))
}

#[tokio::test]
async fn ends_of_events_are_sent_to_the_destinations_of_their_function() -> anyhow::Result<()> {
    let (url, noted) = endpoint().await?;
    let env = [
        ("SAMPAN_CONNECTIONS__OPS__KIND", "http"),
        ("SAMPAN_CONNECTIONS__OPS__URL", url.as_str()),
        ("SAMPAN_OUTBOUND__ADDRESSES_ALLOWED", "[\"127.0.0.1\"]"),
    ];
    let platform = Platform::start_with(&env).await?;
    platform.push_hello().await?;
    platform.deploy("next", "hello:v1", &["--type", "event", "--on-success", "http:ops", "--timeout", "30"]).await?;
    platform.deploy("first", "hello:v1", &["--type", "event", "--on-success", "fn:next", "--timeout", "30"]).await?;
    let shown = platform.cli_json(&["get", "first"]).await?;
    assert!(shown.to_string().contains("fn:next"), "{shown}");

    let id = tools::run_ok(&mut platform.cli(&["invoke", "first", "--async", "--data", r#"{"n": 1}"#])).await?;
    wait::until("the end of the chain has been sent", || async { Ok((!noted.lock().is_empty()).then_some(())) })
        .await?;
    let (headers, record, _) = noted.lock()[0].clone();
    assert_eq!(headers["x-function-name"], "next");
    let context = &record["requestContext"];
    assert_eq!((&context["function"], &context["condition"]), (&json!("next"), &json!("Success")), "{record}");
    let before = &record["requestPayload"];
    assert_eq!(before["requestContext"]["requestId"], id.trim(), "the record of the first is the event of the next");
    assert_eq!(before["requestPayload"], json!({"n": 1}));

    for (flag, destination, expected) in [
        ("--on-success", "fn:missing", "there is no function default/missing"),
        ("--on-success", "fn:first", "cannot be its own destination"),
        ("--on-failure", "http:unknown", "add [connections.unknown]"),
        ("--on-failure", "https://hooks.example.com/", "is no destination"),
    ] {
        let refused = tools::run(&mut platform.cli(&["deploy", "first", flag, destination])).await?;
        assert!(!refused.ok && refused.stderr.contains(expected), "{destination}: {}", refused.stderr);
    }
    let config = json!({"FunctionName": "first", "DeadLetterConfig": {"Type": "http", "Name": "ops"}});
    platform.api.call("UpdateFunctionConfiguration", config).await?;
    platform.stop().await
}

#[tokio::test]
async fn a_callback_gets_the_bytes_that_a_web_function_answered() -> anyhow::Result<()> {
    let (url, noted) = endpoint().await?;
    let env = [
        ("SAMPAN_OUTBOUND__HOSTS_ALLOWED", "[\"127.0.0.1\"]"),
        ("SAMPAN_OUTBOUND__ADDRESSES_ALLOWED", "[\"127.0.0.1\"]"),
    ];
    let platform = Platform::start_with(&env).await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--timeout", "30"]).await?;
    let client = AsyncClient::of(&platform);
    let bytes = b"\x89PNG\r\n\x1a\n\x00\xff".to_vec();
    let headers = [("X-Callback-Url", url.as_str())];
    let sent = client.send(reqwest::Method::POST, "web/echo", &headers, bytes.clone()).await?;
    assert_eq!(sent.status(), 202);
    let missing = client.send(reqwest::Method::POST, "web/status?404", &headers, Vec::new()).await?;
    assert_eq!(missing.status(), 202);
    wait::until("both callbacks have come", || async { Ok((noted.lock().len() == 2).then_some(())) }).await?;
    let mut received = noted.lock().clone();
    received.sort_by_key(|(headers, ..)| headers["x-function-status"].clone().to_str().map(str::to_owned).ok());
    let ((echoed, _, body), (missing, _, text)) = (received[0].clone(), received[1].clone());
    assert_eq!((&echoed["x-function-status"], &body[..]), (&"200".parse()?, &bytes[..]));
    assert_eq!(echoed["content-type"], "application/octet-stream", "as the function said");
    let kind = (&missing["x-function-status"], &missing["content-type"], &text[..]);
    assert_eq!(kind, (&"404".parse()?, &"text/plain".parse()?, &b"as you wish"[..]));
    platform.stop().await
}
