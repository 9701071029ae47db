//! Web functions.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Empty, Full};
use invoke::{BoxError, Config};
use types::{RequestId, RunStatus};

use crate::support::{Bench, EVENT, WEB, WIDE, json, target, text, until};

fn post(path: &str) -> http::request::Builder {
    Request::post(path).header("host", "web.default.fn.localhost")
}

#[tokio::test]
async fn a_request_passes_unchanged_but_for_its_connection_and_the_platform_headers() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let id = RequestId::random();
    let request = Request::builder()
        .method("PATCH")
        .uri("http://web.default.fn.localhost/headers?a=1&b=%20")
        .header("X-Scf-Uin", "forged")
        .header("X_Scf_Secret_Key", "forged")
        .header("Connection", "close, X-Hop")
        .header("X-Hop", "1")
        .header("X-Own", "kept")
        .header("Cookie", "a=1")
        .body(Full::new(Bytes::from_static(b"body")))
        .expect("a request");
    let response = bench.web(target(WEB), id.clone(), request).await;
    assert_eq!(response.headers()["x-scf-request-id"], id.as_str());
    assert!(!response.headers().contains_key("x-scf-status"));
    let seen = json(response).await;
    assert_eq!((&seen["method"], &seen["uri"]), (&"PATCH".into(), &"/headers?a=1&b=%20".into()));
    let headers = &seen["headers"];
    assert_eq!(headers["x-scf-uin"], "200");
    assert_eq!(headers["x-scf-request-id"], id.as_str());
    assert_eq!(headers["x-own"], "kept");
    assert_eq!(headers["host"], "web.default.fn.localhost");
    assert_eq!(headers["content-length"], "4");
    for gone in ["x_scf_secret_key", "x-hop", "connection", "transfer-encoding"] {
        assert!(headers[gone].is_null(), "{gone}");
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_at_once() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    let request = post("/echo").body(body).expect("a request");
    let response = bench.web(target(WEB), RequestId::random(), request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    for n in 0..20 {
        let sent = format!("part {n}");
        sender.send_data(Bytes::from(sent.clone())).await.expect("taken");
        let frame = body.frame().await.expect("a frame").expect("no error");
        assert_eq!(frame.into_data().expect("data"), sent);
    }
    drop(sender);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn an_upload_goes_on_while_nobody_reads_the_answer() {
    let bench = Bench::new(Config { web_request_bytes_max: 0, ..Config::default() }, &[WEB]).await;
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    let request = post("/early").body(body).expect("a request");
    let response = bench.web(target(WEB), RequestId::random(), request).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // More than the sockets hold: the server reads or closes, but nothing here may hang.
    for _ in 0..400 {
        if sender.send_data(Bytes::from(vec![0; 64 * 1024])).await.is_err() {
            break;
        }
    }
    drop(sender);
    drop(response);
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let mut request = Request::get("/trailers").header("te", "trailers").body(Empty::<Bytes>::new()).expect("valid");
    let response = bench.web(target(WEB), RequestId::random(), request).await;
    assert_eq!(response.headers()["trailer"], "x-sum");
    let collected = response.into_body().collect().await.expect("whole");
    assert_eq!(collected.trailers().expect("trailers")["x-sum"], "42");
    request = Request::get("/").body(Empty::new()).expect("valid");
    assert_eq!(text(bench.web(target(WEB), RequestId::random(), request).await).await, "hello");

    let (mut sender, body) = Channel::<Bytes, BoxError>::new(2);
    let request =
        post("/echo").header("te", "trailers").header("trailer", "x-up, x-scf-uin").body(body).expect("valid");
    sender.send_data(Bytes::from_static(b"data")).await.expect("taken");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-up", "1".parse().expect("valid"));
    trailers.insert("x-scf-uin", "forged".parse().expect("valid"));
    sender.send(Frame::trailers(trailers)).await.expect("taken");
    drop(sender);
    let response = bench.web(target(WEB), RequestId::random(), request).await;
    let collected = response.into_body().collect().await.expect("whole");
    let trailers = collected.trailers().expect("trailers");
    assert_eq!(
        (trailers.get("x-up").expect("passed"), trailers.get("x-scf-uin")),
        (&"1".parse().expect("valid"), None)
    );
    assert_eq!(collected.to_bytes(), "data");
}

#[tokio::test]
async fn answers_without_a_body_stay_without_one_and_give_up_the_connection() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    for (method, path, status) in
        [("GET", "/no-content", 204), ("GET", "/not-modified", 304), ("HEAD", "/", 200), ("GET", "/", 200)]
    {
        let request = Request::builder().method(method).uri(path).body(Empty::<Bytes>::new()).expect("a request");
        let response = bench.web(target(WEB), RequestId::random(), request).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
        if method == "HEAD" {
            assert_eq!(response.headers()["content-length"], "5");
        }
        let bodiless = path != "/" || method == "HEAD";
        assert_eq!(response.body().is_end_stream(), bodiless, "{method} {path}");
        text(response).await;
    }
    // A faulty server may send a body late; it must not become the response to the next request.
    assert_eq!((bench.started(), bench.connections()), (1, 4));
}

#[tokio::test]
async fn an_answer_of_the_function_passes_as_it_is_but_cannot_pose_as_the_platforms() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let id = RequestId::random();
    let response = bench.get_as(id.clone(), WEB, "/forge").await;
    assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(response.headers()["x-own"], "1");
    assert_eq!(response.headers()["x-scf-request-id"], id.as_str());
    assert!(!response.headers().contains_key("x-scf-status"));
    assert_eq!(text(response).await, "short and stout");
}

#[tokio::test]
async fn requests_in_a_row_never_start_a_second_instance() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    for _ in 0..200 {
        assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    }
    assert_eq!((bench.started(), bench.connections()), (1, 1));
}

#[tokio::test]
async fn an_instance_serves_as_many_requests_at_once_as_it_may() {
    let bench = Bench::new(Config::default(), &[WIDE]).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(bench.get(WIDE, "/slow-chunks").await);
    }
    assert_eq!(bench.started(), 1);
    open.push(bench.get(WIDE, "/slow-chunks").await);
    assert_eq!(bench.started(), 2);
    for response in open {
        assert_eq!(text(response).await, "chunk 0;chunk 1;chunk 2;");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_in_time_gets_433_as_json() {
    let bench = Bench::new(Config::default(), &[WEB, WIDE]).await;
    let id = RequestId::random();
    let response = bench.get_as(id.clone(), WEB, "/hang").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-scf-status"]),
        (433, &"433".parse().expect("valid"))
    );
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = json(response).await;
    assert_eq!(body["errorMessage"], "Invoking task timed out after 3 seconds");
    assert_eq!(body["requestId"], id.as_str());
    until("the instance that hangs is ended", || bench.alive() == 0).await;
    // With several concurrent requests only the one that hangs ends.
    assert_eq!(bench.get(WIDE, "/hang").await.status().as_u16(), 433);
    assert_eq!(text(bench.get(WIDE, "/").await).await, "hello");
    assert_eq!(bench.started(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_cut_off() {
    let bench = Bench::new(Config::default(), &[WIDE]).await;
    let id = RequestId::random();
    let response = bench.get_as(id.clone(), WIDE, "/endless").await;
    let error = response.into_body().collect().await.expect_err("cut off");
    assert!(error.to_string().contains("timed out after 3 seconds"), "{error}");
    assert!(bench.log(&id).await.contains("\"statusCode\":433"));
}

#[tokio::test]
async fn an_instance_that_ends_before_or_during_its_answer_is_a_439() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let response = bench.get(WEB, "/exit").await;
    assert_eq!(response.status().as_u16(), 439);
    assert!(json(response).await["errorMessage"].as_str().expect("text").contains("exit code 1"));
    let id = RequestId::random();
    let response = bench.get_as(id.clone(), WEB, "/cut").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.into_body().collect().await.is_err());
    assert!(bench.log(&id).await.contains("\"statusCode\":439"));
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
}

#[tokio::test]
async fn a_caller_that_goes_away_is_a_499_and_frees_the_instance() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let id = RequestId::random();
    let response = bench.get_as(id.clone(), WEB, "/endless").await;
    drop(response);
    assert!(bench.log(&id).await.contains("\"statusCode\":499"));
    until("the server has ended the response", || bench.server(0).open() == 0).await;
    let id = bench.abandon(WEB, "/hang").await;
    assert!(bench.log(&id).await.contains("\"statusCode\":499"));
    until("the server has dropped the request", || bench.server(0).open() == 0).await;
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    assert_eq!(bench.started(), 1);
}

#[tokio::test]
async fn request_bodies_over_the_limit_get_406() {
    let bench = Bench::new(Config { web_request_bytes_max: 1000, ..Config::default() }, &[WEB]).await;
    let whole = post("/echo").body(Full::new(Bytes::from(vec![b'x'; 1001]))).expect("a request");
    assert_eq!(bench.web(target(WEB), RequestId::random(), whole).await.status().as_u16(), 406);
    assert_eq!(bench.started(), 0);
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
    for _ in 0..2 {
        sender.send_data(Bytes::from(vec![b'x'; 600])).await.expect("room");
    }
    drop(sender);
    let streamed = post("/count").body(body).expect("a request");
    assert_eq!(bench.web(target(WEB), RequestId::random(), streamed).await.status().as_u16(), 406);
    let fits = post("/echo").body(Full::new(Bytes::from(vec![b'x'; 1000]))).expect("a request");
    let response = bench.web(target(WEB), RequestId::random(), fits).await;
    assert_eq!(text(response).await.len(), 1000);
}

#[tokio::test]
async fn answers_over_the_limits_get_407() {
    let config = Config { web_response_bytes_max: 8, web_response_headers_bytes_max: 4096, ..Config::default() };
    let bench = Bench::new(config, &[WEB]).await;
    assert_eq!(bench.get(WEB, "/big-headers").await.status().as_u16(), 407);
    assert_eq!(bench.get(WEB, "/forge").await.status().as_u16(), 407);
    let id = RequestId::random();
    let streamed = bench.get_as(id.clone(), WEB, "/slow-chunks").await;
    assert!(streamed.into_body().collect().await.is_err());
    assert!(bench.log(&id).await.contains("\"statusCode\":407"));
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
}

#[tokio::test]
async fn upgrades_are_refused_clearly_and_idle_offers_are_ignored() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let ask = |protocol: &str| {
        let request = Request::get("/").header("connection", "upgrade").header("upgrade", protocol);
        bench.web(target(WEB), RequestId::random(), request.body(Empty::<Bytes>::new()).expect("valid"))
    };
    let response = ask("websocket").await;
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
    assert!(json(response).await["errorMessage"].as_str().expect("text").contains("WebSocket"));
    assert_eq!(text(ask("h2c").await).await, "hello");
}

#[tokio::test]
async fn what_a_failed_start_printed_is_in_the_log_and_not_in_the_answer() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    *bench.launch.failing.lock() = Some((RunStatus::ContainerStateExited, "it exited"));
    for _ in 0..2 {
        let id = RequestId::random();
        let answer = bench.get_as(id.clone(), WEB, "/").await;
        assert_eq!(answer.status().as_u16(), RunStatus::ContainerStateExited.code());
        let answer = text(answer).await;
        assert!(answer.contains("it exited") && !answer.contains("secret"), "{answer}");
        assert!(bench.log(&id).await.contains("secret"));
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_404_and_an_event_function_a_436() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let response = bench.get(WEB, "/").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-scf-status"]),
        (404, &"435".parse().expect("valid"))
    );
    assert!(json(response).await["errorMessage"].as_str().expect("text").contains("default/web"));
    assert_eq!(bench.get(EVENT, "/").await.status().as_u16(), 436);
}

#[tokio::test]
async fn an_idempotent_request_survives_a_connection_that_breaks_and_others_are_not_repeated() {
    let bench = Bench::new(Config { exit_wait_ms_max: 50, ..Config::default() }, &[WEB]).await;
    text(bench.get(WEB, "/").await).await;
    bench.server(0).drops_left.store(1, Ordering::SeqCst);
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    bench.server(0).drops_left.store(1, Ordering::SeqCst);
    let before = bench.server(0).requests.load(Ordering::SeqCst);
    let request = post("/").body(Empty::<Bytes>::new()).expect("a request");
    let response = bench.web(target(WEB), RequestId::random(), request).await;
    assert_eq!(response.status().as_u16(), 430);
    assert_eq!(bench.server(0).requests.load(Ordering::SeqCst), before + 1);
}

#[tokio::test]
async fn a_request_that_is_sent_again_has_all_its_headers() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    text(bench.get(WEB, "/").await).await;
    bench.server(0).drops_left.store(1, Ordering::SeqCst);
    let id = RequestId::random();
    let request = Request::get("/headers?a=1")
        .header("host", "web.default.fn.localhost")
        .header("x-own", "1")
        .header("x-own", "2")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let seen = json(bench.web(target(WEB), id.clone(), request).await).await;
    assert_eq!((&seen["method"], &seen["uri"]), (&"GET".into(), &"/headers?a=1".into()));
    for (name, wanted) in [
        ("host", "web.default.fn.localhost"),
        ("x-own", "1 | 2"),
        ("x-scf-request-id", id.as_str()),
        ("x-scf-uin", "200"),
        ("x-scf-name", "web"),
        ("x-scf-version", "$LATEST"),
    ] {
        assert_eq!(seen["headers"][name], wanted, "{name}");
    }
}

#[tokio::test]
async fn with_the_last_byte_the_log_is_complete_and_the_instance_free() {
    for function in [WEB, WIDE] {
        let bench = Bench::new(Config::default(), &[function]).await;
        let id = RequestId::random();
        text(bench.get_as(id.clone(), function, "/").await).await;
        // No task was scheduled since: the invocation was ended in place.
        let log = bench.logs.tail(&id, 4096);
        assert!(log.contains("END ") && log.contains("Report RequestId"), "{log}");
        let again = text(bench.get(function, "/").await).await;
        assert_eq!((again.as_str(), bench.started(), bench.connections()), ("hello", 1, 1));
    }
}

#[tokio::test]
async fn the_log_of_a_web_request_is_complete_soon_after_its_response() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let id = RequestId::random();
    text(bench.get_as(id.clone(), WEB, "/").await).await;
    let log = bench.log(&id).await;
    let wanted = ["START ", "warming up", "Init Report ", "END ", "Report "];
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), wanted.len(), "{log}");
    for (line, wanted) in lines.iter().zip(wanted) {
        assert!(line.starts_with(wanted), "{line} instead of {wanted}");
    }
}
