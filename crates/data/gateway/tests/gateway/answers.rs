//! Responses with double, wrong or incomplete framing, too large, too early or too late: byte for
//! byte from a server that sends exactly that, over HTTP/1.1 and HTTP/2.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::Fixture;
use crate::support::exact::{ExactServer, Script, Then};
use crate::support::raw::Answer;

struct Exact {
    fixture: Fixture,
    server: ExactServer,
}

impl Exact {
    async fn start() -> Self {
        Self::start_with(invoke::Config::default()).await
    }

    async fn start_with(config: invoke::Config) -> Self {
        let server = ExactServer::start().await;
        let fixture = Fixture::start_over(gateway::Config::default(), config, server.address).await;
        Self { fixture, server }
    }

    async fn get(&self, script: Script) -> Answer {
        self.server.play(script);
        self.fixture.raw().await.get("web.default.fn.localhost", "/").await
    }

    async fn get_h2(&self, script: Script) -> Response<Incoming> {
        self.server.play(script);
        let socket = TcpStream::connect(self.fixture.address).await.expect("the gateway accepts");
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_header_list_size(1 << 20);
        let (mut sender, connection) = builder.handshake(TokioIo::new(socket)).await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::get("http://web.default.fn.localhost/").body(Empty::<Bytes>::new()).expect("valid");
        sender.send_request(request).await.expect("an answer")
    }

    /// Waits until the log reports this outcome of the request.
    async fn logged(&self, id: &str, wanted: &str) {
        self.fixture.logged(id, wanted).await;
    }
}

#[tokio::test]
async fn an_answer_with_two_lengths_arrives_with_one() {
    let exact = Exact::start().await;
    for (head, body) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nwhole\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 900\r\n\r\n", "5\r\nwhole\r\n0\r\n\r\n"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "whole"),
        ("Content-Length: 5, 5\r\n\r\n", "whole"),
    ] {
        let script = Script::answer(format!("HTTP/1.1 200 OK\r\n{head}{body}"), Then::Keep);
        let answer = exact.get(script.clone()).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "whole"), "{head}: {answer:?}");
        let lengths = answer.head.to_lowercase().matches("content-length").count();
        let codings = answer.head.to_lowercase().matches("transfer-encoding").count();
        assert_eq!(lengths + codings, 1, "{}", answer.head);
        exact.logged(answer.header("x-scf-request-id"), "END").await;
        let answer = exact.get_h2(script).await;
        assert_eq!(answer.status(), 200, "{head}");
        let body = answer.into_body().collect().await.unwrap_or_else(|error| panic!("{head}: {error:?}"));
        assert_eq!(body.to_bytes(), "whole", "{head}");
    }
    exact.fixture.stop().await;
}

#[tokio::test]
async fn an_answer_without_a_body_has_no_length_and_its_late_body_reaches_nobody() {
    let exact = Exact::start().await;
    for (status, late) in
        [("204 No Content", "Content-Length: 4\r\n\r\nlate"), ("304 Not Modified", "Content-Length: 4\r\n\r\n")]
    {
        let script = Script::answer(format!("HTTP/1.1 {status}\r\n{late}"), Then::Keep);
        for _ in 0..2 {
            let answer = exact.get(script.clone()).await;
            assert!(answer.head.starts_with(&format!("HTTP/1.1 {status}")), "{}", answer.head);
            assert_eq!(answer.header("content-length"), "", "{}", answer.head);
            let answer = exact.get_h2(script.clone()).await;
            assert!(!answer.headers().contains_key("content-length"));
            assert_eq!(answer.into_body().collect().await.expect("whole").to_bytes(), "");
        }
    }
    let answer = exact.get(Script::answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::Keep)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    exact.fixture.stop().await;
}

#[tokio::test]
async fn an_answer_that_nobody_can_frame_is_a_failure_of_the_function() {
    let exact = Exact::start().await;
    for (head, told) in [
        ("Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "no valid HTTP answer"),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "only \"chunked\" can be passed on"),
    ] {
        let answer = exact.get(Script::answer(format!("HTTP/1.1 200 OK\r\n{head}"), Then::Close)).await;
        assert_eq!(answer.status, 430, "{head}");
        let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(told) && !message.contains("broke off"), "{message}");
        exact.logged(answer.header("x-scf-request-id"), "\"statusCode\":430").await;
    }
    exact.fixture.stop().await;
}

#[tokio::test]
async fn a_server_that_breaks_off_within_its_body_gives_what_came_and_a_broken_transfer() {
    let exact = Exact::start_with(invoke::Config { exit_wait_ms_max: 20, ..invoke::Config::default() }).await;
    for half in ["Content-Length: 1000\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let script = Script::answer(format!("HTTP/1.1 200 OK\r\n{half}"), Then::Close);
        for round in 0..5 {
            exact.server.play(script.clone());
            let mut client = exact.fixture.raw().await;
            client.send("GET / HTTP/1.1\r\nHost: web.default.fn.localhost\r\n\r\n").await;
            let got = client.closed().await;
            assert!(got.starts_with("HTTP/1.1 200 OK\r\n"), "round {round}: {got:?}");
            assert!(got.contains("half") && !got.ends_with("0\r\n\r\n"), "round {round}: {got:?}");
            let id = got.lines().find_map(|line| line.strip_prefix("x-scf-request-id: ")).expect("a request id");
            exact.logged(id, "\"statusCode\":430").await;

            let mut answer = exact.get_h2(script.clone()).await;
            let id = answer.headers()["x-scf-request-id"].to_str().expect("text").to_owned();
            let frame = answer.frame().await.expect("a frame").expect("what came");
            assert_eq!(frame.into_data().expect("data"), "half");
            assert!(answer.frame().await.expect("an end").is_err(), "a broken stream");
            exact.logged(&id, "\"statusCode\":430").await;
        }
    }
    exact.fixture.stop().await;
}

#[tokio::test]
async fn heads_of_answers_have_room_and_what_is_too_large_names_its_setting() {
    let exact = Exact::start().await;
    let lines = |count: usize, bytes: usize| {
        let lines: String = (0..count).map(|n| format!("X-H-{n}: {}\r\n", "x".repeat(bytes))).collect();
        Script::answer(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok"), Then::Close)
    };
    for (count, bytes) in [(5, 4096), (490, 20), (1, 60_000)] {
        let answer = exact.get(lines(count, bytes)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{count} of {bytes}");
        assert_eq!(exact.get_h2(lines(count, bytes)).await.status(), 200, "{count} of {bytes}");
    }
    for (count, bytes, setting) in [
        (501, 1, "invoke.web_response_headers_max"),
        (2, 33_000, "invoke.web_response_headers_bytes_max"),
        (100, 10_000, "invoke.web_response_headers_bytes_max"),
    ] {
        let answer = exact.get(lines(count, bytes)).await;
        let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 407, "{count} of {bytes}: {message}");
        assert!(message.contains(setting) && !message.contains("broke off"), "{message}");
    }
    exact.fixture.stop().await;
}

#[tokio::test]
async fn status_lines_have_the_names_of_the_contract_or_the_functions_own() {
    let exact = Exact::start().await;
    let answer = exact.get(Script::answer("220 no HTTP\r\n\r\n", Then::Close)).await;
    assert!(answer.head.starts_with("HTTP/1.1 430 User code exception caught\r\n"), "{}", answer.head);
    for (own, wanted) in [
        ("430 Mine", "430 Mine"),
        ("599", "599 Server Error"),
        ("200 Fine", "200 Fine"),
        ("404 Not Found", "404 Not Found"),
    ] {
        let answer =
            exact.get(Script::answer(format!("HTTP/1.1 {own}\r\nContent-Length: 0\r\n\r\n"), Then::Keep)).await;
        assert!(answer.head.starts_with(&format!("HTTP/1.1 {wanted}\r\n")), "{}", answer.head);
    }
    let answer = exact.fixture.raw().await.get("web.default.fn.localhost:bad:host", "/").await;
    assert!(answer.head.starts_with("HTTP/1.1 400 "), "{}", answer.head);
    exact.fixture.stop().await;
}

#[tokio::test]
async fn interim_answers_are_passed_over_and_a_flood_of_them_is_a_failure() {
    let exact = Exact::start().await;
    let interim = |count: usize, header: usize| {
        let one = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(header));
        Script::answer(format!("{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", one.repeat(count)), Then::Close)
    };
    for (count, header) in [(1, 10), (16, 10), (4, 15_000)] {
        let answer = exact.get(interim(count, header)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{count} of {header}");
    }
    for (count, header) in [(17, 10), (5, 15_000), (100_000, 10)] {
        let answer = exact.get(interim(count, header)).await;
        let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 430, "{count} of {header}: {message}");
        assert!(message.contains("interim answers") && message.contains("invoke.interim_responses_max"), "{message}");
    }
    exact.fixture.stop().await;
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_reaches_its_caller() {
    let exact = Exact::start().await;
    let script = Script::answer("HTTP/1.1 413 Content Too Large\r\nContent-Length: 6\r\n\r\nenough", Then::Close);
    for round in 0..20 {
        exact.server.play(script.clone());
        let bytes = 4 << 20;
        let mut request =
            format!("POST / HTTP/1.1\r\nHost: web.default.fn.localhost\r\nContent-Length: {bytes}\r\n\r\n")
                .into_bytes();
        request.resize(request.len() + bytes, b'x');
        let answer = exact.fixture.raw().await.call(request).await;
        assert_eq!((answer.status, answer.body.as_str()), (413, "enough"), "round {round}: {answer:?}");
    }
    exact.fixture.stop().await;
}

#[tokio::test]
async fn requests_reach_the_function_with_one_length_or_chunked() {
    let exact = Exact::start().await;
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let host = "Host: web.default.fn.localhost\r\n";
    for (method, head, body) in [
        ("GET", "Transfer-Encoding: chunked\r\n\r\n", "5\r\nwhole\r\n0\r\n\r\n"),
        ("POST", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nwhole\r\n0\r\n\r\n"),
        ("DELETE", "Transfer-Encoding: chunked\r\n\r\n", "5\r\nwhole\r\n0\r\n\r\n"),
    ] {
        let script = Script { request_end: b"0\r\n\r\n", ..Script::answer(ok, Then::Close) };
        exact.server.play(script);
        let request = format!("{method} / HTTP/1.1\r\n{host}{head}{body}");
        assert_eq!(exact.fixture.raw().await.call(request).await.status, 200, "{method} {head}");
        let seen = exact.server.seen().to_lowercase();
        assert!(seen.contains("transfer-encoding: chunked") && seen.contains("whole"), "{seen}");
        assert!(!seen.contains("content-length"), "{seen}");
    }
    let request = format!("POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 5\r\n\r\nwhole");
    exact.server.play(Script { request_end: b"whole", ..Script::answer(ok, Then::Close) });
    assert_eq!(exact.fixture.raw().await.call(request).await.status, 200);
    assert_eq!(exact.server.seen().to_lowercase().matches("content-length: 5\r\n").count(), 1);
    let request = format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    let answer = exact.fixture.raw().await.call(request).await;
    let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.status, 400, "{message}");
    assert!(message.contains("Transfer-Encoding"), "{message}");
    exact.fixture.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_with_its_setting() {
    let config = invoke::Config { web_request_bytes_max: 10, ..invoke::Config::default() };
    let exact = Exact::start_with(config).await;
    exact.server.play(Script::answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::Keep));
    let request = "POST / HTTP/1.1\r\nHost: web.default.fn.localhost\r\nContent-Length: 11\r\n\r\nhello world";
    let answer = exact.fixture.raw().await.call(request).await;
    let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
    assert!(answer.head.starts_with("HTTP/1.1 406 RequestTooLarge\r\n"), "{}", answer.head);
    assert!(message.contains("content too large") && message.contains("invoke.web_request_bytes_max"), "{message}");
    exact.fixture.stop().await;
}

#[tokio::test]
async fn a_caller_that_closes_its_half_is_gone() {
    let exact = Exact::start().await;
    // The head is read to an end that never comes: the function works on.
    exact.server.play(Script { request_end: b"never", ..Script::answer("", Then::Keep) });
    let mut client = exact.fixture.raw().await;
    client.send("GET / HTTP/1.1\r\nHost: web.default.fn.localhost\r\n\r\n").await;
    while !exact.server.seen().ends_with("\r\n\r\n") {
        tokio::task::yield_now().await;
    }
    let seen = exact.server.seen();
    let id = seen.lines().find_map(|line| line.strip_prefix("x-scf-request-id: ")).expect("a request id").to_owned();
    client.close_half().await;
    exact.logged(&id, "\"statusCode\":499").await;
    exact.fixture.stop().await;
}

#[tokio::test]
async fn an_answer_below_a_path_has_it_in_front_of_its_urls_and_cookies() {
    const HEAD: &str = "HTTP/1.1 302 Found\r\nLocation: /login\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\
                        Content-Length: 0\r\n\r\n";
    let exact = Exact::start().await;
    exact.server.play(Script::answer(HEAD, Then::Keep));
    let below = exact.fixture.raw().await.get("127.0.0.1", "/fn/default/web/x").await;
    assert_eq!(below.header("location"), "/fn/default/web/login", "{}", below.head);
    assert!(below.head.contains("a=1; Path=/fn/default/web\r\n") && below.head.contains(": b=2\r\n"), "{}", below.head);
    let by_host = exact.get(Script::answer(HEAD, Then::Keep)).await;
    assert_eq!(by_host.header("location"), "/login");
    assert!(by_host.head.contains("a=1; Path=/\r\n"), "{}", by_host.head);

    let server = ExactServer::start().await;
    let off = gateway::Config { rewrite_prefix: false, ..gateway::Config::default() };
    let fixture = Fixture::start_over(off, invoke::Config::default(), server.address).await;
    server.play(Script::answer(HEAD, Then::Keep));
    let off = fixture.raw().await.get("127.0.0.1", "/fn/default/web/x").await;
    assert_eq!(off.header("location"), "/login");
}
