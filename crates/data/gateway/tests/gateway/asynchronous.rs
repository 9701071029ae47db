//! Calls below `/async/`: accepted once durable, run afterwards, refused with a reason.

use std::time::Duration;

use events::RunState;
use gateway::{AsyncConfig, Config};
use serde_json::{Value, json};
use types::RequestId;

use crate::support::Fixture;
use crate::support::raw::Answer;

/// Longest wait for the end of a run.
const WAIT_MAX: Duration = Duration::from_secs(20);

async fn send(fixture: &Fixture, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    fixture.raw().await.call(format!("{text}\r\n{body}")).await
}

const SIGNED: (&str, &str) = ("Authorization", "secret");

async fn post(fixture: &Fixture, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers: Vec<_> = [SIGNED].iter().chain(headers).copied().collect();
    send(fixture, "POST", target, &headers, body).await
}

fn id(answer: &Answer) -> RequestId {
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.header("x-scf-request-id");
    assert_eq!((answer.header("x-call-id"), &answer.json()), (id, &json!({"requestId": id})));
    id.parse().expect("a request id")
}

/// The replayed request as the web function received it.
async fn seen(fixture: &Fixture, id: &RequestId) -> Value {
    let status = fixture.ended(id).await;
    assert_eq!(status.state, RunState::Finished, "{status:?}");
    let result: Value = serde_json::from_str(status.result.as_deref().unwrap_or_default()).expect("JSON");
    assert_eq!(result["statusCode"], 200);
    serde_json::from_str(result["body"].as_str().unwrap_or_default()).expect("what was seen")
}

fn headers_of(seen: &Value, name: &str) -> Vec<String> {
    let headers = seen["headers"].as_array().cloned().unwrap_or_default();
    let values = headers.iter().filter(|pair| pair[0] == name);
    values.map(|pair| pair[1].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn the_body_of_a_call_of_an_event_function_is_its_event() {
    let fixture = Fixture::start().await;
    let accepted = id(&post(&fixture, "/async/default/event:$LATEST/any?x=1", &[], r#"{"a":  1.0}"#).await);
    assert_eq!(fixture.ended(&accepted).await.result.as_deref(), Some(r#"{"a":  1.0}"#));
    let empty = id(&post(&fixture, "/async/default/event", &[], "").await);
    assert_eq!(fixture.ended(&empty).await.result.as_deref(), Some("{}"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_call_of_a_web_function_is_replayed_as_it_was() {
    let fixture = Fixture::start().await;
    let headers = [
        SIGNED,
        ("X-TC-Timestamp", "1"),
        ("X-Own", "1"),
        ("X-Own", "2"),
        ("Connection", "X-Hop"),
        ("X-Hop", "1"),
        ("X-Scf-Memory", "9"),
        ("X-Delay-Seconds", "0"),
        ("Idempotency-Key", "k"),
        ("Content-Type", "application/json"),
    ];
    let answer = send(&fixture, "PUT", "/async/default/web/a//b/%2F?x=%20", &headers, r#"{"n": 1.0}"#).await;
    let accepted = id(&answer);
    let seen = seen(&fixture, &accepted).await;
    assert_eq!((&seen["method"], &seen["target"]), (&json!("PUT"), &json!("/a//b/%2F?x=%20")));
    assert_eq!(seen["body"], r#"{"n": 1.0}"#);
    let header = |name: &str| headers_of(&seen, name);
    assert_eq!((header("host"), header("x-own")), (vec!["h".to_owned()], vec!["1".to_owned(), "2".to_owned()]));
    assert_eq!(
        (header("content-type"), header("content-length")),
        (vec!["application/json".into()], vec!["10".into()])
    );
    assert_eq!(
        (header("idempotency-key"), header("x-forwarded-prefix")),
        (vec!["k".into()], vec!["/async/default/web".into()])
    );
    for gone in ["authorization", "x-tc-timestamp", "connection", "x-hop", "x-delay-seconds"] {
        assert!(header(gone).is_empty(), "{gone}: {seen}");
    }
    assert_eq!(header("x-scf-request-id"), [accepted.as_str()]);
    assert_eq!(header("x-call-id"), [accepted.as_str()]);
    assert_eq!(header("x-scf-memory"), ["128"]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_get_and_a_body_in_chunks_are_replayed_too() {
    let fixture = Fixture::start().await;
    let get = id(&fixture.raw().await.call("GET /async/default/open/x HTTP/1.1\r\nHost: h\r\n\r\n").await);
    let seen_get = seen(&fixture, &get).await;
    assert_eq!((&seen_get["method"], &seen_get["body"]), (&json!("GET"), &json!("")));
    assert!(headers_of(&seen_get, "content-length").is_empty(), "{seen_get}");
    let chunks = "POST /async/default/open/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let chunked = id(&fixture.raw().await.call(chunks).await);
    let seen_chunks = seen(&fixture, &chunked).await;
    assert_eq!(
        (&seen_chunks["body"], headers_of(&seen_chunks, "content-length")),
        (&json!("abcde"), vec!["5".to_owned()])
    );
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_not_signed_is_not_accepted_unless_anyone_may_call() {
    let fixture = Fixture::start().await;
    for (headers, body) in [(&[][..], "{}"), (&[("Authorization", "wrong")], "{}"), (&[SIGNED], "forged")] {
        let refused = send(&fixture, "POST", "/async/default/web/", headers, body).await;
        assert_eq!((refused.status, refused.header("x-scf-status")), (401, "441"), "{refused:?}");
        assert_eq!(refused.header("www-authenticate"), "TC3-HMAC-SHA256");
    }
    assert_eq!(fixture.events.waiting(None), 0);
    let open = id(&send(&fixture, "POST", "/async/default/open/", &[("Authorization", "Basic x")], "{}").await);
    let own = headers_of(&seen(&fixture, &open).await, "authorization");
    assert_eq!(own, ["Basic x"], "it is the function's own");
    fixture.stop().await;
}

#[tokio::test]
async fn server_errors_and_429_are_failures_and_other_answers_end_the_event() {
    let fixture = Fixture::start().await;
    for (code, state, status) in [
        (204, RunState::Finished, 200),
        (302, RunState::Finished, 200),
        (404, RunState::Finished, 200),
        (429, RunState::Running, 430),
        (503, RunState::Running, 430),
    ] {
        let accepted = id(&post(&fixture, &format!("/async/default/web/status?{code}"), &[], "").await);
        let found = fixture.ended(&accepted).await;
        assert_eq!((found.state, found.status.map(|status| status.code())), (state, Some(status)), "{code}: {found:?}");
        assert!(found.result.is_some_and(|result| result.contains(&format!("\"statusCode\":{code}"))));
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_key_runs_once_and_a_delay_is_waited_for() {
    let fixture = Fixture::start().await;
    let key = [("Idempotency-Key", "order-1")];
    let first = post(&fixture, "/async/default/web/", &key, "one").await;
    let again = post(&fixture, "/async/default/web/", &key, "two").await;
    assert_eq!(id(&first), id(&again));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(seen(&fixture, &id(&first)).await["body"], "one");
    let late = id(&post(&fixture, "/async/default/web/", &[("X-Delay-Seconds", "3600")], "").await);
    let now = id(&post(&fixture, "/async/default/web/", &[], "").await);
    fixture.ended(&now).await;
    let waiting = fixture.events.status(&late).await.expect("readable").expect("it is there");
    assert_eq!((waiting.state, waiting.attempts), (RunState::Running, 0));
    fixture.stop().await;
}

#[tokio::test]
async fn what_cannot_be_accepted_is_refused_with_its_reason() {
    let fixture = Fixture::start().await;
    let over = "x".repeat(128 * 1024 + 1);
    let over_job = format!("\"{}\"", "x".repeat(131_043));
    for (method, target, header, body, status, code, text) in [
        ("POST", "/async/default/none/", ("A", "1"), "", 404, "435", "does not exist"),
        ("POST", "/async/default/web:nope/", ("A", "1"), "", 404, "442", "nope"),
        ("POST", "/async/default/event", ("A", "1"), "no json", 400, "400", "the event is not JSON"),
        ("GET", "/async/default/event", ("A", "1"), "", 405, "436", "by POST"),
        ("POST", "/async/default/event", ("A", "1"), &over, 413, "406", "at most 131072 bytes (the contract's limit"),
        (
            "POST",
            "/async/default/job",
            ("A", "1"),
            &over_job,
            413,
            "406",
            "at most 131044 bytes (as long as a variable",
        ),
        ("POST", "/async/default/web/", ("X-Delay-Seconds", "soon"), "", 400, "436", "gateway.async.delay_s_max"),
        ("POST", "/async/default/web/", ("X-Callback-Url", "http://a/"), "", 400, "436", "hosts_allowed of [outbound]"),
        ("POST", "/async/default/web/", ("Upgrade", "websocket"), "", 400, "436", "a WebSocket connection"),
        ("POST", "/async/default/web/", ("Content-Type", "application/grpc"), "", 400, "436", "a gRPC call"),
    ] {
        let refused = send(&fixture, method, target, &[SIGNED, header], body).await;
        let said = refused.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert_eq!((refused.status, refused.header("x-scf-status")), (status, code), "{target} {header:?}: {said}");
        assert!(said.contains(text), "{target} {header:?}: {said}");
    }
    assert_eq!(fixture.events.waiting(None), 0);
    fixture.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_the_name_of_the_setting() {
    let asynchronous = AsyncConfig { body_bytes_max: 10, ..AsyncConfig::default() };
    let fixture = Fixture::start_with(Config { asynchronous, ..Config::default() }).await;
    id(&post(&fixture, "/async/default/web/", &[], "0123456789").await);
    let refused = post(&fixture, "/async/default/web/", &[], "0123456789x").await;
    assert_eq!((refused.status, refused.header("x-scf-status")), (413, "406"));
    assert!(refused.body.contains("at most 10 bytes (setting gateway.async.body_bytes_max)"), "{refused:?}");
    let chunked = "POST /async/default/open/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   b\r\n0123456789x\r\n0\r\n\r\n";
    assert_eq!(fixture.raw().await.call(chunked).await.status, 413);
    fixture.stop().await;
}

#[tokio::test]
async fn calls_beyond_a_rate_or_the_queues_bounds_are_told_when_to_come_again() {
    let asynchronous = AsyncConfig { function_requests_per_s_max: 1, ..AsyncConfig::default() };
    let config = Config { asynchronous, ..Config::default() };
    let queue = events::Config::default();
    let fixture = Fixture::start_queueing(config, queue).await;
    let late = [("X-Delay-Seconds", "600")];
    let mut refused = post(&fixture, "/async/default/web/", &late, "").await;
    while refused.status == 202 {
        refused = post(&fixture, "/async/default/web/", &late, "").await;
    }
    assert_eq!((refused.status, refused.header("x-scf-status")), (429, "429"), "{refused:?}");
    assert!(["1", "5"].contains(&refused.header("retry-after")), "{refused:?}");
    // The other functions have their own bounds.
    id(&send(&fixture, "POST", "/async/default/open/", &late, "").await);
    fixture.stop().await;

    let queue = events::Config { function_rows_max: 1, ..events::Config::default() };
    let fixture = Fixture::start_queueing(Config::default(), queue).await;
    id(&post(&fixture, "/async/default/web/", &late, "").await);
    let full = post(&fixture, "/async/default/web/", &late, "").await;
    assert_eq!((full.status, full.header("retry-after")), (429, "5"), "{full:?}");
    assert!(full.body.contains("events.function_rows_max"), "{full:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_507_and_leaves_nothing() {
    let queue = events::Config { disk_free_bytes_min: u64::MAX, ..events::Config::default() };
    let fixture = Fixture::start_queueing(Config::default(), queue).await;
    let refused = post(&fixture, "/async/default/web/", &[], "").await;
    assert_eq!((refused.status, refused.header("x-scf-status")), (507, "449"), "{refused:?}");
    assert!(refused.body.contains("events.disk_free_bytes_min"), "{refused:?}");
    assert_eq!(fixture.events.waiting(None), 0);
    fixture.stop().await;
}

#[tokio::test]
async fn a_host_of_a_function_owns_the_path_too() {
    let fixture = Fixture::start().await;
    let answer = fixture.raw().await.get("web.default.fn.localhost", "/async/default/event").await;
    assert_eq!((answer.status, &answer.json()["target"]), (200, &json!("/async/default/event")));
    fixture.stop().await;
}

#[tokio::test]
async fn bodies_and_events_up_to_their_limits_are_taken_whole() {
    let fixture = Fixture::start().await;
    for bytes in [900 * 1024, 1 << 20, 6 << 20] {
        let accepted = id(&post(&fixture, "/async/default/web/length", &[], &"x".repeat(bytes)).await);
        let found = fixture.ended(&accepted).await;
        let result: Value = serde_json::from_str(found.result.as_deref().unwrap_or_default()).expect("JSON");
        assert_eq!((found.state, &result["body"]), (RunState::Finished, &json!(bytes.to_string())));
    }
    // Long heads count against their own limit, not against that of the body.
    let own = "v".repeat(60_000);
    let accepted = id(&post(&fixture, "/async/default/web/length", &[("X-Own", &own)], &"x".repeat(6 << 20)).await);
    assert_eq!(fixture.ended(&accepted).await.state, RunState::Finished);
    let event = format!("\"{}\"", "x".repeat(128 * 1024 - 2));
    let accepted = id(&post(&fixture, "/async/default/event", &[], &event).await);
    assert_eq!(fixture.ended(&accepted).await.state, RunState::Finished);
    fixture.stop().await;
}

#[tokio::test]
async fn a_call_of_a_web_function_is_terminated_while_it_runs_and_while_it_streams() {
    for path in ["hold", "endless"] {
        let fixture = Fixture::start().await;
        let accepted = id(&post(&fixture, &format!("/async/default/web/{path}"), &[], "").await);
        let running = async {
            while fixture.events.status(&accepted).await.expect("readable").expect("kept").attempts == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, running).await.expect("it runs");
        fixture.events.terminate(&accepted, None, false).await.expect("it can be ended");
        let status = fixture.ended(&accepted).await;
        assert_eq!((status.state, status.status.map(|status| status.code())), (RunState::Aborted, Some(499)), "{path}");
        fixture.stop().await;
    }
}

/// A function that calls itself and passes on the depth that it received.
#[tokio::test]
async fn a_chain_of_calls_ends_after_sixteen_events() {
    let fixture = Fixture::start().await;
    let mut passed_on = String::new();
    for depth in 0..=16 {
        let header = [("X-Scf-Chain-Depth", passed_on.as_str())];
        let headers = if depth == 0 { &[][..] } else { &header[..] };
        let accepted = id(&post(&fixture, "/async/default/web/again", headers, "").await);
        let seen = headers_of(&seen(&fixture, &accepted).await, "x-scf-chain-depth");
        assert_eq!(seen, [depth.to_string()]);
        passed_on = seen.into_iter().next().unwrap_or_default();
    }
    let refused = post(&fixture, "/async/default/web/again", &[("X-Scf-Chain-Depth", &passed_on)], "").await;
    let message = refused.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
    assert_eq!(refused.status, 508, "{refused:?}");
    assert!(message.contains("16 events have led to this call"), "{message}");
    let wrong = post(&fixture, "/async/default/web", &[("X-Scf-Chain-Depth", "deep")], "").await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
    fixture.stop().await;
}
