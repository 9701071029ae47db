//! Requests and responses through the gateway: addresses, unchanged parts, additions and refusals.

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{Fixture, raw};

#[tokio::test]
async fn host_and_path_reach_the_function_with_the_rest_as_it_was_sent() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    for (host, target, expected) in [
        ("web.default.fn.localhost", "/a//b/%2F..?x=%20&y", "/a//b/%2F..?x=%20&y"),
        ("WEB.default.FN.localhost:80", "/fn/default/event/", "/fn/default/event/"),
        ("latest--web.default.fn.localhost", "/", "/"),
        ("127.0.0.1", "/fn/default/web/a//b/%2F..?x=%20&y", "/a//b/%2F..?x=%20&y"),
        ("127.0.0.1", "/fn/default/web", "/"),
        ("127.0.0.1", "/fn/default/web?q", "/?q"),
        ("127.0.0.1", "/fn/default/web:$LATEST/z", "/z"),
    ] {
        let answer = client.get(host, target).await;
        assert_eq!((answer.status, &answer.json()["target"]), (200, &json!(expected)), "{host} {target}: {answer:?}");
        assert_eq!(answer.seen("host"), [host]);
        assert_eq!(answer.header("x-scf-request-id").len(), 36);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_custom_domain_leads_its_paths_to_functions() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    for (host, target, expected) in [
        ("shop.example.com", "/a//b/%2F..?x=%20&y", "/a//b/%2F..?x=%20&y"),
        ("Shop.Example.COM:7080", "/api/cart?id=1", "/cart?id=1"),
        ("shop.example.com", "/api/", "/"),
        ("shop.example.com", "/fn/default/web/x", "/fn/default/web/x"),
    ] {
        let answer = client.get(host, target).await;
        assert_eq!((answer.status, &answer.json()["target"]), (200, &json!(expected)), "{host} {target}: {answer:?}");
        assert_eq!(answer.seen("host"), [host]);
        assert_eq!(answer.seen("x-forwarded-prefix"), [""; 0]);
    }
    let answer = client.get("shop.example.com", "/gone").await;
    let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
    assert_eq!((answer.status, answer.header("x-scf-status")), (404, "435"), "{message}");
    assert!(message.contains("the path of shop.example.com leads nowhere: function default/gone"), "{message}");
    fixture.stop().await;
}

#[tokio::test]
async fn an_absolute_target_outranks_the_host_header() {
    let fixture = Fixture::start().await;
    let request = "GET http://web.default.fn.localhost/x HTTP/1.1\r\nHost: other\r\n\r\n";
    let answer = fixture.raw().await.call(request).await;
    assert_eq!(answer.json()["target"], "/x");
    assert_eq!(answer.seen("host"), ["web.default.fn.localhost"]);
    fixture.stop().await;
}

#[tokio::test]
async fn the_client_is_named_and_cannot_name_itself() {
    let fixture = Fixture::start().await;
    let request = "GET /fn/default/web/ HTTP/1.1\r\nHost: me:80\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\
                   X-Scf-Memory: 9\r\nx_scf_memory: 9\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n\r\n";
    let answer = fixture.raw().await.call(request).await;
    for (name, expected) in [
        ("x-forwarded-for", vec!["127.0.0.1"]),
        ("x-forwarded-proto", vec!["http"]),
        ("x-forwarded-host", vec!["me:80"]),
        ("x-forwarded-prefix", vec!["/fn/default/web"]),
        ("x-scf-memory", vec!["128"]),
        ("x_scf_memory", vec![]),
        ("x-hop", vec![]),
        ("connection", vec![]),
        ("x-kept", vec!["1"]),
    ] {
        assert_eq!(answer.seen(name), expected, "{name}");
    }
    assert!(!answer.header("date").is_empty());
    fixture.stop().await;
}

#[tokio::test]
async fn nothing_is_forged_by_spelling_or_named_away_by_connection() {
    let fixture = Fixture::start().await;
    let forged = "Connection: close, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Scf-Request-Id, X-Scf-Name, Host\r\n\
                  X_Forwarded_For: 6.6.6.6\r\nX_Forwarded-Proto: https\r\nX_Scf_Request_Id: evil\r\nX-Scf_Name: evil\r\n\
                  x.forwarded.host: evil\r\nX-Real-IP: 6.6.6.6\r\nX-Original-URL: /admin\r\nX-Forwarded-User: root\r\n\
                  Forwarded: for=6.6.6.6\r\nProxy: http://evil\r\nX-Mine: 1\r\n";
    let gone =
        ["x_forwarded_for", "x_forwarded-proto", "x_scf_request_id", "x-scf_name", "x.forwarded.host", "x-real-ip"];
    let gone = [&gone[..], &["x-original-url", "x-forwarded-user", "forwarded", "proxy", "connection"]].concat();
    let there = [("host", "me"), ("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http")];
    let there = [&there[..], &[("x-forwarded-host", "me"), ("x-mine", "1")]].concat();

    let answer = fixture.raw().await.call(format!("GET /fn/default/web/ HTTP/1.1\r\nHost: me\r\n{forged}\r\n")).await;
    for (name, value) in &there {
        assert_eq!(answer.seen(name), [*value], "{name}");
    }
    assert_eq!(answer.seen("x-scf-name"), ["web"]);
    gone.iter().for_each(|name| assert_eq!(answer.seen(name), [""; 0], "{name}"));

    let answer = fixture.raw().await.call(format!("GET /fn/default/event/ HTTP/1.1\r\nHost: me\r\n{forged}\r\n")).await;
    let seen = &answer.json()["headers"];
    for (name, value) in &there {
        assert_eq!(seen[*name], *value, "{name} of an event");
    }
    assert_eq!(seen["x-scf-remote-addr"], "127.0.0.1");
    gone.iter().for_each(|name| assert!(seen[*name].is_null(), "{name} of an event"));
    fixture.stop().await;
}

#[tokio::test]
async fn proxies_are_believed_by_their_addresses_alone() {
    let said =
        "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil\r\n";
    let request =
        |function| format!("GET /fn/default/{function}/ HTTP/1.1\r\nHost: me\r\n{said}Connection: close\r\n\r\n");
    for (proxies, client, scheme, prefix, remote) in [
        ("127.0.0.0/8", "198.51.100.1, 203.0.113.9, 127.0.0.1", "https", "/evil/fn/default/web", "203.0.113.9"),
        ("192.0.2.0/24", "127.0.0.1", "http", "/fn/default/web", "127.0.0.1"),
    ] {
        let trusted_proxies = gateway::TrustedProxies::try_from(vec![proxies.to_owned()]).expect("a range");
        let config = gateway::Config { trusted_proxies, ..gateway::Config::default() };
        let fixture = Fixture::start_with(config).await;
        let answer = fixture.raw().await.call(request("web")).await;
        assert_eq!(answer.seen("x-forwarded-for").join(", "), client, "{proxies}");
        assert_eq!(answer.seen("x-forwarded-proto"), [scheme]);
        assert_eq!(answer.seen("x-forwarded-prefix"), [prefix]);
        let answer = fixture.raw().await.call(request("event")).await;
        assert_eq!(answer.json()["headers"]["x-scf-remote-addr"], remote);
        fixture.stop().await;
    }
}

#[tokio::test]
async fn what_names_no_function_is_told_how_to() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    for (host, target, status, code, hint) in [
        ("localhost", "/", 404, 435, "/fn/<namespace>/<function>/"),
        ("web.fn.localhost", "/", 404, 435, "<function>.<namespace>.fn.localhost"),
        ("none.default.fn.localhost", "/", 404, 435, "default/none does not exist"),
        ("localhost", "/fn/default/Web/", 404, 435, "default/Web does not exist"),
        ("localhost", "/fn/default/web:nobody/", 404, 442, "nobody"),
        ("localhost", "/fn/default/web:7/", 404, 442, "7"),
        ("localhost", "/fn/default/web:no%20body/", 404, 442, "no body"),
    ] {
        let answer = client.get(host, target).await;
        let json = answer.json();
        assert_eq!((answer.status, &json["statusCode"]), (status, &json!(code)), "{host}{target}: {answer:?}");
        assert!(json["errorMessage"].as_str().is_some_and(|message| message.contains(hint)), "{json}");
        assert_eq!(json["requestId"], answer.header("x-scf-request-id"));
        assert_eq!(answer.header("x-scf-status"), code.to_string());
    }
    fixture.stop().await;
}

#[tokio::test]
async fn addresses_longer_than_any_are_refused_as_such() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    let dashes = |len: usize| "-".repeat(len);
    for (host, target, status, hint) in [
        (format!("{}.default.fn.localhost", dashes(60_000)), "/".to_owned(), 400, "a host name has at most 253"),
        (format!("{}.default.fn.localhost", dashes(127)), "/".to_owned(), 404, "longer than that of any function"),
        (format!("{}.default.fn.localhost", dashes(126)), "/".to_owned(), 404, "does not exist"),
        ("localhost".to_owned(), format!("/fn/default/{}/", dashes(60_000)), 404, "longer than that of any function"),
    ] {
        let answer = client.get(&host, &target).await;
        let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, status, "{message}");
        assert!(message.contains(hint) && message.len() < 400, "{message}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_request_that_two_parties_could_read_differently_is_refused() {
    let fixture = Fixture::start().await;
    for (request, status) in [
        ("GET /fn/default/web/ HTTP/1.1\r\n\r\n", 400),
        ("GET /fn/default/web/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /fn/default/web/ HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET /fn/default/web/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET /fn/default/web/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400),
        ("GET /fn/default/web/ HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("TRACE /fn/default/web/ HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("CONNECT web.default.fn.localhost:80 HTTP/1.1\r\nHost: web.default.fn.localhost:80\r\n\r\n", 405),
    ] {
        let answer = fixture.raw().await.call(request).await;
        assert_eq!(answer.status, status, "{request}: {answer:?}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn framing_that_the_parser_refuses_is_answered_400_without_a_body() {
    let fixture = Fixture::start().await;
    for lines in [
        "Transfer-Encoding: identity",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: 3\r\nX-Folded: one\r\n two",
    ] {
        let mut client = fixture.raw().await;
        let request = format!("POST /fn/default/web/ HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\nabc");
        let answer = client.call(request).await;
        assert_eq!((answer.status, answer.header("content-length")), (400, "0"), "{lines}: {answer:?}");
        assert_eq!(client.closed().await, "", "{lines}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_smuggle_a_request() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    let request = "POST /fn/default/web/first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\n\r\nGET /fn/default/web/second HTTP/1.1\r\nHost: a\r\n\r\n";
    let first = client.call(request).await;
    assert_eq!((&first.json()["target"], &first.json()["body"]), (&json!("/first"), &json!("hello")), "{first:?}");
    assert!(first.seen("content-length").is_empty(), "the function sees one framing: {first:?}");
    assert_eq!(client.closed().await, "", "what follows such a request is not read as another one");
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_of_http_1_0_is_answered_in_it() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    client.send("POST /fn/default/web/echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello").await;
    let answer = client.closed().await;
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    fixture.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    let requests: String =
        (0..20).map(|n| format!("GET /fn/default/web/{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect::<Vec<_>>().concat();
    client.send(requests).await;
    for n in 0..20 {
        assert_eq!(client.answer().await.json()["target"], format!("/{n}"));
    }
    fixture.stop().await;
}

#[tokio::test]
async fn too_many_or_too_long_headers_are_refused() {
    let fixture = Fixture::start().await;
    // Some are refused by hyper, which does not know our settings; the answer names them anyway.
    let many = |count: usize| "x: 1\r\n".repeat(count);
    let long = |kib: usize| format!("x-long: {}\r\n", "y".repeat(kib * 1024));
    for (headers, setting) in [
        (many(100), "gateway.request_headers_max"),
        (many(250), "gateway.request_headers_max"),
        (long(70), "gateway.request_head_bytes_max"),
    ] {
        let answer =
            fixture.raw().await.call(format!("GET /fn/default/web/ HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).await;
        let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 431, "{message}");
        assert!(message.contains(setting), "{message}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn bodies_stream_both_ways_and_end_in_trailers() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    client
        .send("POST /fn/default/web/echo HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.send("3\r\none\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "the answer begins before the request ends: {head}");
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    client.send("GET /fn/default/web/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let rest = client.closed().await;
    assert!(rest.contains("one") && rest.contains("two") && rest.contains("x-echo-bytes: 6"), "{rest}");
    assert!(rest.contains("/last"), "the connection serves on: {rest}");
    fixture.stop().await;
}

#[tokio::test]
async fn a_function_keeps_its_own_status_and_head_has_no_body() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    for status in [201, 404, 500, 503] {
        let answer = client.get("a", &format!("/fn/default/web/status?{status}")).await;
        assert_eq!((answer.status, answer.header("x-scf-status")), (status, ""));
    }
    for target in ["/fn/default/web/", "/fn/default/event/", "/fn/default/none/"] {
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(client.head().await.to_ascii_lowercase().contains("content-length: "), "{target}");
    }
    assert_eq!(client.get("a", "/fn/default/web/next").await.json()["target"], "/next");
    fixture.stop().await;
}

async fn h2(fixture: &Fixture) -> http2::SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(fixture.address).await.expect("the gateway accepts");
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    sender
}

fn h2_request(method: &str, uri: &str, body: &'static str) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    Request::builder().method(method).uri(uri).body(body).expect("a valid request")
}

#[tokio::test]
async fn http2_without_tls_works_with_many_requests_at_once() {
    let fixture = Fixture::start().await;
    let sender = h2(&fixture).await;
    let calls = (0..32).map(|n| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let uri = format!("http://web.default.fn.localhost/{n}");
            let answer = sender.send_request(h2_request("POST", &uri, "body")).await.expect("an answer");
            assert_eq!(answer.status(), 200);
            let body = answer.into_body().collect().await.expect("readable").to_bytes();
            let seen: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!((&seen["target"], &seen["body"]), (&json!(format!("/{n}")), &json!("body")));
            assert!(
                seen["headers"].as_array().is_some_and(|h| h.contains(&json!(["host", "web.default.fn.localhost"])))
            );
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("the call went well");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn http2_carries_trailers_and_no_body_for_head() {
    let fixture = Fixture::start().await;
    let mut sender = h2(&fixture).await;
    let mut echo = h2_request("POST", "http://a/fn/default/web/echo", "12345");
    echo.headers_mut().insert("te", HeaderValue::from_static("trailers"));
    let answer = sender.send_request(echo).await.expect("an answer").into_body().collect().await.expect("readable");
    assert_eq!(
        answer.trailers().and_then(|trailers| trailers.get("x-echo-bytes")).map(|v| v.as_bytes()),
        Some(&b"5"[..])
    );
    assert_eq!(answer.to_bytes(), "12345");
    for (target, status) in [("web", 200), ("event", 200), ("none", 404)] {
        let head = h2_request("HEAD", &format!("http://a/fn/default/{target}/"), "");
        let answer = sender.send_request(head).await.expect("an answer");
        assert_eq!(answer.status(), status, "{target}");
        assert!(answer.into_body().collect().await.expect("no stream error").to_bytes().is_empty());
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_request_becomes_an_event_and_a_return_value_an_answer() {
    let fixture = Fixture::start().await;
    let mut client = fixture.raw().await;
    let answer = client
        .call("POST /fn/default/event/p?q=1 HTTP/1.1\r\nHost: a\r\nX-Mine: 1\r\nX-Scf-Forged: 1\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    let event = answer.json();
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(event["httpMethod"], "POST");
    assert_eq!(
        (&event["path"], &event["queryString"], &event["body"]),
        (&json!("/p"), &json!({"q": "1"}), &json!("body"))
    );
    let headers = &event["headers"];
    assert_eq!((&headers["x-mine"], &headers["x-scf-remote-addr"]), (&json!("1"), &json!("127.0.0.1")));
    assert!(headers["x-scf-forged"].is_null());
    for (returned, status, body) in [
        (r#"{"statusCode":201,"headers":{"x-a":"b"},"body":"made"}"#, 201, "made"),
        (r#"{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}"#, 200, "hi"),
        (r#"[1,2]"#, 200, "[1,2]"),
    ] {
        let answer = returning(&mut client, returned).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{answer:?}");
    }
    let invalid = returning(&mut client, r#"{"statusCode":"x"}"#).await;
    assert_eq!((invalid.status, invalid.header("x-scf-status")), (403, "403"));
    assert!(invalid.body.contains("Invalid scf response format"), "{invalid:?}");
    let failed = client.get("a", "/fn/default/event/fail").await;
    assert_eq!((failed.status, &failed.json()["statusCode"]), (430, &json!(430)), "{failed:?}");
    fixture.stop().await;
}

async fn returning(client: &mut raw::Raw, value: &str) -> raw::Answer {
    let length = value.len();
    client
        .call(format!("POST /fn/default/event/return HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{value}"))
        .await
}

#[tokio::test]
async fn a_body_too_long_for_an_event_is_refused_before_it_is_sent() {
    let fixture = Fixture::start().await;
    let announced = "POST /fn/default/event/ HTTP/1.1\r\nHost: a\r\nContent-Length: 7000000\r\n\r\n";
    let answer = fixture.raw().await.call(announced).await;
    assert_eq!((answer.status, answer.header("x-scf-status")), (406, "406"), "{answer:?}");
    fixture.stop().await;
}

fn limited(limit: serde_json::Value) -> gateway::Config {
    let limit = serde_json::from_value(limit).expect("a limit");
    gateway::Config { limits: vec![limit], ..gateway::Config::default() }
}

#[tokio::test]
async fn a_route_answers_no_more_requests_at_once_than_its_limit_and_others_go_on() {
    let limit = json!({ "host": "shop.example.com", "path": "/api/", "requests_at_once_max": 1 });
    let fixture = Fixture::start_with(limited(limit)).await;
    let (mut first, mut second) = (fixture.raw().await, fixture.raw().await);
    first.send("GET /api/hold HTTP/1.1\r\nHost: shop.example.com\r\n\r\n").await;
    fixture.server.until_open(1).await;
    let busy = second.get("SHOP.example.com:7080", "/api/x").await;
    let message = busy.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
    assert_eq!((busy.status, busy.header("x-scf-status")), (429, "429"), "{message}");
    assert!(message.starts_with("1 requests are answered at once already"), "{message}");
    assert_eq!(second.get("shop.example.com", "/other").await.status, 200);
    assert_eq!(second.get("a", "/fn/default/web/api/x").await.status, 200);
    fixture.server.release();
    assert_eq!(first.answer().await.body, "released");
    assert_eq!(first.get("shop.example.com", "/api/x").await.status, 200);
    fixture.stop().await;
}

#[tokio::test]
async fn a_route_lets_as_many_requests_through_in_a_second_as_its_limit_says() {
    let fixture = Fixture::start_with(limited(json!({ "function": "default/*", "requests_per_s_max": 1 }))).await;
    let mut client = fixture.raw().await;
    let mut refused = 0;
    for _ in 0..6 {
        let answer = client.get("a", "/fn/default/web/").await;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "1");
            refused += 1;
        }
    }
    // On a slow machine some tokens are refilled meanwhile.
    assert!((1..=5).contains(&refused), "{refused} of 6 were refused");
    fixture.stop().await;
}

#[tokio::test]
async fn a_route_takes_no_longer_bodies_than_its_limit_says_whether_announced_or_not() {
    let fixture = Fixture::start_with(limited(json!({ "function": "default/*", "body_bytes_max": 4 }))).await;
    for function in ["web", "event"] {
        let head = format!("POST /fn/default/{function}/return HTTP/1.1\r\nHost: a\r\n");
        for (body, status) in [
            ("Content-Length: 4\r\n\r\n1234", 200),
            ("Content-Length: 5\r\n\r\n12345", 406),
            ("Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n0\r\n\r\n", 200),
            ("Transfer-Encoding: chunked\r\n\r\n4\r\n1234\r\n1\r\n5\r\n0\r\n\r\n", 406),
        ] {
            let answer = fixture.raw().await.call(format!("{head}{body}")).await;
            assert_eq!(answer.status, status, "{function}: {body:?}: {answer:?}");
        }
    }
    fixture.stop().await;
}
