//! Deliveries of ended events: results to callbacks, records to destinations.

use std::collections::BTreeMap;

use events::{Config, Destination, Destinations, Error, RunState};
use outbound::{Client, Connection};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use types::RunStatus;

use crate::dead_letters::all;
use crate::endpoint::Endpoint;
use crate::fixture::{Queue, event};

/// A client that may send to this machine, with the endpoint as `ops`.
fn client(endpoint: &str) -> Client {
    let config = outbound::Config {
        hosts_allowed: vec!["127.0.0.1".to_owned()],
        addresses_allowed: vec!["127.0.0.1".parse().unwrap()],
        ..outbound::Config::default()
    };
    let connection = Connection { url: endpoint.to_owned(), ..Connection::default() };
    Client::new(&config, &BTreeMap::from([("ops".to_owned(), connection)])).unwrap()
}

async fn open(endpoint: &Endpoint) -> Queue {
    Queue::open_sending(client(&endpoint.url()), Config::default()).await
}

fn set(queue: &Queue, function: &str, destinations: Destinations) {
    queue.script.destinations.lock().insert(function.to_owned(), destinations);
}

fn to(text: &str) -> Option<Destination> {
    Some(text.parse().unwrap())
}

async fn dead_letter(queue: &Queue) -> events::DeadLetter {
    for _ in 0..4000 {
        if let Some(letter) = queue.events.dead_letters(all(), 0, 1).await.unwrap().pop() {
            return letter;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("there is no dead letter")
}

#[tokio::test]
async fn a_result_is_posted_to_its_callback_with_one_id_and_one_body_in_all_attempts() {
    let endpoint = Endpoint::start(&["500 Internal Server Error"]).await;
    let queue = open(&endpoint).await;
    let new = event("called", "{}");
    let id = new.request_id.clone();
    queue.events.accept_with_callback(new, None, &endpoint.url()).await.unwrap();
    queue.until_true(|| endpoint.all().len() == 2).await;
    let received = endpoint.all();
    for request in &received {
        assert!(request.head.starts_with("POST /hook?a=1 HTTP/1.1"), "{}", request.head);
        assert_eq!(request.body, "got {}");
        assert_eq!(request.header("x-call-id"), Some(id.as_str()));
        assert_eq!(request.header("x-function-status"), Some("200"));
        assert_eq!(request.header("x-function-name"), Some("called"));
        assert!(request.header("x-duration-seconds").unwrap().parse::<f64>().unwrap() >= 0.0);
    }
    let ids: Vec<_> = received.iter().map(|request| request.header("x-delivery-id").unwrap()).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(queue.events.dead_letters(all(), 0, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_asks_for_an_eternity_is_tried_again_within_the_bound() {
    let endpoint = Endpoint::start(&["429 Too Many Requests\r\nRetry-After: 99999999999"]).await;
    let config = Config { retry_after_s_max: 1, ..Config::default() };
    let queue = Queue::open_sending(client(&endpoint.url()), config).await;
    queue.events.accept_with_callback(event("called", "{}"), None, &endpoint.url()).await.unwrap();
    queue.until_true(|| endpoint.all().len() == 2).await;
    assert!(queue.events.dead_letters(all(), 0, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_callback_learns_of_failure_too() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    queue.script.set("gone", Some(RunStatus::FunctionNotFound));
    queue.events.accept_with_callback(event("gone", "{}"), None, &endpoint.url()).await.unwrap();
    queue.until_true(|| !endpoint.all().is_empty()).await;
    let received = &endpoint.all()[0];
    let status = RunStatus::FunctionNotFound.code().to_string();
    assert_eq!((received.header("x-function-status"), received.body.as_str()), (Some(status.as_str()), "it failed"));
}

/// Scripts a web function's response.
fn answers(queue: &Queue, function: &str, status: u16, kind: &str, body: &'static [u8]) {
    let headers = vec![("content-type".to_owned(), kind.to_owned())];
    let web = events::WebAnswer { status, headers, body: body.into(), is_cut: false };
    queue.script.web.lock().insert(function.to_owned(), web);
}

#[tokio::test]
async fn a_callback_gets_the_bytes_the_kind_and_the_status_of_a_web_functions_response() {
    const IMAGE: &[u8] = b"\x89PNG\r\n\x00\xff";
    let endpoint = Endpoint::start(&["503 Service Unavailable"]).await;
    let queue = open(&endpoint).await;
    answers(&queue, "painter", 201, "image/png", IMAGE);
    let new = event("painter", "{}");
    let id = new.request_id.clone();
    queue.events.accept_with_callback(new, None, &endpoint.url()).await.unwrap();
    queue.until_true(|| endpoint.all().len() == 2).await;
    for request in endpoint.all() {
        assert_eq!(
            (request.header("x-function-status"), request.header("content-type")),
            (Some("201"), Some("image/png"))
        );
        assert_eq!(request.bytes, IMAGE);
        assert_eq!(request.header("x-function-body-truncated"), None);
    }
    let status = queue.events.status(&id).await;
    assert_eq!(status.unwrap().unwrap().result.as_deref(), Some("got {}"), "the result is kept as before");
}

#[tokio::test]
async fn a_callback_gets_the_response_of_a_web_function_whose_tries_have_all_failed() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    answers(&queue, "broken", 502, "text/html", b"<p>no");
    queue.script.set("broken", Some(RunStatus::UserCodeException));
    let new = events::NewEvent { retries_max: 0, ..event("broken", "{}") };
    queue.events.accept_with_callback(new, None, &endpoint.url()).await.unwrap();
    queue.until_true(|| !endpoint.all().is_empty()).await;
    let request = &endpoint.all()[0];
    assert_eq!((request.header("x-function-status"), request.body.as_str()), (Some("502"), "<p>no"));
}

#[tokio::test]
async fn only_an_event_with_a_callback_keeps_bytes_for_it() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    queue.accept("called", "{}").await;
    queue.events.accept_with_callback(event("called", "{}"), None, &endpoint.url()).await.unwrap();
    queue.until_true(|| queue.script.seen_of("called") == 2).await;
    let mut kept: Vec<_> = queue.script.seen.lock().iter().map(|attempt| attempt.answer_bytes_max).collect();
    kept.sort_unstable();
    assert_eq!(kept, [0, Config::default().callback_bytes_max]);
}

#[tokio::test]
async fn a_callback_that_may_not_be_called_is_refused_at_acceptance() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    for (url, expected) in [
        ("http://elsewhere.example.com/", "hosts_allowed"),
        ("http://169.254.169.254/latest/", "link-local"),
        ("http://[::ffff:169.254.169.254]/", "addresses_allowed"),
        ("http://0x7f000002/", "loopback"),
        ("file:///etc/passwd", "http or https"),
        ("http://user:secret@127.0.0.1/", "[connections.NAME]"),
        ("http://127.0.0.1:0/", "http or https"),
        ("nonsense", "http or https"),
    ] {
        let refused = queue.events.accept_with_callback(event("called", "{}"), None, url).await.unwrap_err();
        assert!(matches!(refused, Error::Callback(_)) && refused.to_string().contains(expected), "{url}: {refused}");
    }
    assert_eq!(queue.events.waiting(None), 0);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let inner = Endpoint::start(&[]).await;
    let redirect = format!("307 Temporary Redirect\r\nLocation: {}", inner.url());
    let endpoint = Endpoint::start(&[&redirect]).await;
    let queue = open(&endpoint).await;
    queue.events.accept_with_callback(event("called", "{}"), None, &endpoint.url()).await.unwrap();
    let letter = dead_letter(&queue).await;
    assert_eq!((letter.reason.as_str(), letter.attempts), ("destination_refused", 1));
    assert!(letter.result.as_deref().unwrap().contains("redirects are not followed"), "{letter:?}");
    assert!(inner.all().is_empty());
}

#[tokio::test]
async fn the_destination_of_success_is_called_with_a_record_of_the_run() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    set(&queue, "first", Destinations { on_success: to("fn:second"), ..Destinations::default() });
    let id = queue.accept("first", r#"{"n":  1.0}"#).await;
    queue.until_true(|| queue.script.seen_of("second") == 1).await;
    let seen = queue.script.seen.lock().last().unwrap().clone();
    let text = String::from_utf8(seen.payload.into()).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({"requestId": id.as_str(), "namespace": "default", "function": "first",
        "qualifier": "$LATEST", "condition": "Success", "attempts": 1,
        "payloadsOmitted": false});
    assert_eq!(record["requestContext"], expected);
    assert_eq!(record["responseContext"], json!({"statusCode": 200}));
    assert_eq!(record["responsePayload"], r#"got {"n":  1.0}"#);
    assert!(text.contains(r#""requestPayload":{"n":  1.0}"#), "the payload is as it was: {text}");
    let next = queue.until(&seen.request_id, |status| status.state == RunState::Finished).await;
    assert_ne!(next.request_id, id, "it is an event of its own");
}

#[tokio::test]
async fn the_destinations_of_failure_get_the_record_and_the_payload() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    queue.script.set("gone", Some(RunStatus::FunctionNotFound));
    set(
        &queue,
        "gone",
        Destinations { on_failure: to("http:ops"), dead_letters: to("fn:letters"), ..Destinations::default() },
    );
    queue.accept("gone", r#"{"n": 1}"#).await;
    queue.until_true(|| !endpoint.all().is_empty() && queue.script.seen_of("letters") == 1).await;
    let received = &endpoint.all()[0];
    let record: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(
        (&record["requestContext"]["condition"], &record["requestPayload"]),
        (&json!("Refused"), &json!({"n": 1}))
    );
    assert_eq!(received.header("content-type"), Some("application/json"));
    let seen =
        queue.script.seen.lock().iter().find(|attempt| attempt.address.function.name.as_str() == "letters").cloned();
    assert_eq!(seen.unwrap().payload, r#"{"n": 1}"#);
}

#[tokio::test]
async fn a_web_function_gets_what_is_sent_to_it_as_a_request() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    queue.script.set("gone", Some(RunStatus::FunctionNotFound));
    let destinations = Destinations { on_failure: to("fn:web"), dead_letters: to("fn:web"), ..Destinations::default() };
    set(&queue, "gone", destinations);
    let request = "PUT /a?b=c HTTP/1.1\r\nhost: h\r\n\r\nthe body";
    let id = queue.accept("gone", request).await;
    queue.until_true(|| queue.script.seen_of("web") == 2).await;
    let seen = queue.script.seen.lock().clone();
    let mut seen: Vec<_> = seen.into_iter().filter(|run| run.address.function.name.as_str() == "web").collect();
    seen.sort_by_key(|run| run.payload.len());
    assert_eq!(seen[0].payload, request, "the dead letter of a web function is replayed as it was");
    let record = events::WebRequest::from_bytes(&seen[1].payload).unwrap();
    assert_eq!((record.method.as_str(), record.target.as_str()), ("POST", "/"));
    assert_eq!(record.headers["x-call-id"], id.as_str());
    assert_eq!(record.headers["content-type"], "application/json");
    let record: Value = serde_json::from_slice(&record.body).unwrap();
    assert_eq!(
        (&record["requestContext"]["condition"], &record["requestPayload"]),
        (&json!("Refused"), &json!(request))
    );
}

#[tokio::test]
async fn a_function_whose_destination_is_itself_ends_after_sixteen_hops() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    set(&queue, "around", Destinations { on_success: to("fn:around"), ..Destinations::default() });
    queue.accept("around", "{}").await;
    let letter = dead_letter(&queue).await;
    assert_eq!(letter.reason, "chain_too_deep");
    let longest = queue.script.seen.lock().iter().map(|attempt| attempt.payload.len()).max().unwrap();
    assert!(longest <= Config::default().record_bytes_max, "each record has the one before in it: {longest} bytes");
    assert_eq!(queue.script.seen_of("around"), 17, "the event, and sixteen that followed from it");
    queue.until_true(|| queue.events.waiting(None) == 0).await;
}

#[tokio::test]
async fn a_dead_letter_target_that_fails_is_where_it_stops() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    queue.script.set("gone", Some(RunStatus::FunctionNotFound));
    set(&queue, "gone", Destinations { dead_letters: to("fn:gone"), ..Destinations::default() });
    queue.accept("gone", "{}").await;
    // Each death is a dead letter of its own; the chain ends like any other.
    queue.until_true(|| queue.script.seen_of("gone") == 17).await;
    for _ in 0..4000 {
        let letters = queue.events.dead_letters(all(), 0, 100).await.unwrap();
        if letters.len() == 18 {
            assert_eq!(letters.iter().filter(|letter| letter.reason == "chain_too_deep").count(), 1);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the chain does not end");
}

#[tokio::test]
async fn a_delivery_that_fails_for_good_is_a_dead_letter_and_can_be_redriven() {
    let endpoint = Endpoint::start(&["404 Not Found"]).await;
    let queue = open(&endpoint).await;
    set(&queue, "first", Destinations { on_success: to("http:ops"), ..Destinations::default() });
    queue.accept("first", "{}").await;
    let letter = dead_letter(&queue).await;
    assert_eq!((letter.reason.as_str(), letter.destination.as_deref()), ("destination_refused", Some("http:ops")));
    assert_eq!(letter.result.as_deref(), Some("it answered 404 Not Found"));
    queue.events.redrive(&letter.request_id).await.unwrap();
    queue.until_true(|| endpoint.all().len() == 2).await;
    let received = endpoint.all();
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[0].header("x-delivery-id"), received[1].header("x-delivery-id"));
    assert_eq!(received[1].header("x-delivery-id"), Some(letter.request_id.as_str()));
    queue.accept("first", "{}").await;
    queue.until_true(|| endpoint.all().len() == 3).await;
}

#[tokio::test]
async fn a_destination_that_is_gone_is_a_dead_letter() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    set(&queue, "first", Destinations { on_success: to("fn:missing"), ..Destinations::default() });
    queue.accept("first", "{}").await;
    let letter = dead_letter(&queue).await;
    assert_eq!((letter.reason.as_str(), letter.destination.as_deref()), ("destination_refused", Some("fn:missing")));
    assert_eq!(letter.result.as_deref(), Some("there is no function default/missing"));
}

#[tokio::test]
async fn a_delivery_survives_a_kill() {
    // It listens and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let queue = Queue::open_sending(client(&url), Config::default()).await;
    set(&queue, "first", Destinations { on_success: to("http:ops"), ..Destinations::default() });
    let id = queue.accept("first", "{}").await;
    queue.until(&id, |status| status.state == RunState::Finished).await;
    let (_held, _) = silent.accept().await.unwrap();
    let Queue { events, folder, .. } = queue;
    drop(events);
    let endpoint = Endpoint::start(&[]).await;
    let queue = Queue::reopened_sending(Default::default(), folder, client(&endpoint.url()), Config::default()).await;
    queue.until_true(|| !endpoint.all().is_empty()).await;
    assert!(endpoint.all()[0].body.contains(id.as_str()));
}

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_hold_up_another() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = format!("http://{}/", silent.local_addr().unwrap());
    let endpoint = Endpoint::start(&[]).await;
    let config = Config { deliveries_max: 4, host_deliveries_max: 2, ..Config::default() };
    let queue = Queue::open_sending(client(&endpoint.url()), config).await;
    for _ in 0..20 {
        queue.events.accept_with_callback(event("called", "{}"), None, &hangs).await.unwrap();
    }
    queue.until_true(|| queue.script.seen_of("called") == 20).await;
    queue.events.accept_with_callback(event("quick", "{}"), None, &endpoint.url()).await.unwrap();
    queue.until_true(|| !endpoint.all().is_empty()).await;
}

#[tokio::test]
async fn an_event_that_a_chain_of_runs_has_led_to_is_a_dead_letter_and_its_redrive_begins_anew() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    set(&queue, "around", Destinations { on_failure: to("http:ops"), ..Destinations::default() });
    queue.events.at_depth(17).accept(event("around", "{}")).await.unwrap();
    let letter = dead_letter(&queue).await;
    assert_eq!((letter.reason.as_str(), queue.script.seen_of("around")), ("chain_too_deep", 0));
    assert!(letter.result.as_deref().unwrap().starts_with("16 events have led here"), "{letter:?}");
    assert!(endpoint.all().is_empty(), "the chain does not go on by its destinations");
    queue.events.redrive(&letter.request_id).await.unwrap();
    queue.until(&letter.request_id, |status| status.state == RunState::Finished).await;
    assert_eq!(queue.script.seen.lock().last().unwrap().depth, 0);
}

#[tokio::test]
async fn what_is_sent_carries_the_depth_of_its_chain() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    set(&queue, "first", Destinations { on_success: to("http:ops"), ..Destinations::default() });
    queue.events.at_depth(3).accept(event("first", "{}")).await.unwrap();
    queue.until_true(|| !endpoint.all().is_empty()).await;
    assert_eq!(endpoint.all()[0].header("x-scf-chain-depth"), Some("3"));
}

#[tokio::test]
async fn an_event_that_is_terminated_while_it_waits_is_still_reported() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    set(&queue, "later", Destinations { on_failure: to("http:ops"), ..Destinations::default() });
    let late = events::NewEvent { delay_s: 3600, ..event("later", r#"{"n": 1}"#) };
    let id = late.request_id.clone();
    queue.events.accept_with_callback(late, None, &endpoint.url()).await.unwrap();
    queue.events.terminate(&id, None, false).await.unwrap();
    queue.until_true(|| endpoint.all().len() == 2).await;
    let mut received = endpoint.all();
    received.sort_by_key(|request| request.body.starts_with('{'));
    let (callback, record) = (&received[0], &received[1]);
    assert_eq!(callback.body, "the event was terminated");
    assert_eq!((callback.header("x-call-id"), callback.header("x-function-status")), (Some(id.as_str()), Some("499")));
    let record: Value = serde_json::from_str(&record.body).unwrap();
    assert_eq!(record["requestContext"]["condition"], "Aborted", "{record}");
    assert_eq!((&record["requestContext"]["attempts"], &record["requestPayload"]["n"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn an_event_whose_termination_a_kill_overtook_is_reported_after_the_start() {
    let endpoint = Endpoint::start(&[]).await;
    let queue = open(&endpoint).await;
    queue.script.set("slow", None);
    // Its instance outlives the platform.
    *queue.script.lingers.lock() = Some(std::sync::Arc::default());
    let slow = event("slow", "{}");
    let id = slow.request_id.clone();
    queue.events.accept_with_callback(slow, None, &endpoint.url()).await.unwrap();
    queue.until_true(|| queue.script.seen_of("slow") == 1).await;
    queue.events.terminate(&id, None, false).await.unwrap();
    let Queue { events, folder, .. } = queue;
    drop(events);
    let queue = Queue::reopened_sending(Default::default(), folder, client(&endpoint.url()), Config::default()).await;
    queue.until_true(|| endpoint.all().len() == 1).await;
    assert_eq!(endpoint.all()[0].header("x-function-status"), Some("499"));
    let status = queue.events.status(&id).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempts), (RunState::Aborted, 1));
}
