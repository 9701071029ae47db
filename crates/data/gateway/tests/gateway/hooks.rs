//! Triggers that receive requests: verification, conversion to events, and durability.

use std::time::Duration;

use events::{DeadLetters, InvokeType, RunState};
use gateway::Config;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use types::RequestId;

use crate::support::raw::Answer;
use crate::support::{Fixture, TOKEN};

/// Longest wait for the end of a run.
const WAIT_MAX: Duration = Duration::from_secs(20);

async fn send(fixture: &Fixture, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut text = format!("{line} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    fixture.raw().await.call([&text[..], b"\r\n", body].concat()).await
}

async fn github(fixture: &Fixture, target: &str, delivery: &str, body: &[u8]) -> Answer {
    let mut mac = Hmac::<Sha256>::new_from_slice(TOKEN.as_bytes()).expect("any key");
    mac.update(body);
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let headers = [("X-Hub-Signature-256", signature.as_str()), ("X-GitHub-Delivery", delivery), ("X-Own", "1")];
    send(fixture, &format!("POST {target}"), &headers, body).await
}

fn bearer() -> (&'static str, String) {
    ("Authorization", format!("Bearer {TOKEN}"))
}

fn ids(answer: &Answer) -> Vec<RequestId> {
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer = answer.json();
    let ids = answer["requestIds"].as_array().expect("ids");
    ids.iter().map(|id| id.as_str().unwrap_or_default().parse().expect("an id")).collect()
}

/// The function's result: an event function returns its input, a web function the request that it
/// received.
async fn returned(fixture: &Fixture, id: &RequestId) -> String {
    let status = fixture.ended(id).await;
    assert_eq!(status.state, RunState::Finished, "{status:?}");
    status.result.unwrap_or_default()
}

#[tokio::test]
async fn a_webhook_reaches_its_function_in_its_own_bytes_and_once() {
    let fixture = Fixture::start().await;
    let body = b"{\"key\": \"value\",  \"num\": 1.0}";
    let first = ids(&github(&fixture, "/hooks/default/event/gh", "d1", body).await);
    assert_eq!(returned(&fixture, &first[0]).await.as_bytes(), body);
    let again = ids(&github(&fixture, "/hooks/default/event/gh", "d1", body).await);
    assert_eq!(again, first, "the same delivery is the same event");
    assert_ne!(ids(&github(&fixture, "/hooks/default/event/gh", "d2", body).await), first);
    // A web function gets the request, whose bytes need not be JSON.
    let web = ids(&github(&fixture, "/hooks/default/web/gh?x", "d3", b"a=1&b=%20").await);
    let seen: Value = serde_json::from_str(&returned(&fixture, &web[0]).await).expect("JSON");
    let seen: Value = serde_json::from_str(seen["body"].as_str().unwrap_or_default()).expect("what was seen");
    assert_eq!((&seen["method"], &seen["target"], &seen["body"]), (&json!("POST"), &json!("/"), &json!("a=1&b=%20")));
    let headers = seen["headers"].to_string();
    assert!(headers.contains("[\"x-own\",\"1\"]") && headers.contains("x-hub-signature-256"), "{headers}");
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_not_for_a_trigger_is_refused_with_a_reason() {
    let fixture = Fixture::start().await;
    let (name, token) = bearer();
    let auth = [(name, token.as_str())];
    for (line, headers, body, status, part) in [
        ("POST /hooks/default/event/gh", &[][..], "{}", 401, "no header x-hub-signature-256"),
        ("POST /hooks/default/event/films", &[][..], "{}", 401, "no header authorization"),
        ("GET /hooks/default/event/gh", &[][..], "", 405, "by POST"),
        ("POST /hooks/default/event/none", &auth[..], "{}", 404, "no trigger \"none\""),
        ("POST /hooks/default/event/", &auth[..], "{}", 404, "no trigger \"\""),
        ("POST /hooks/default/open/url", &auth[..], "{}", 404, "no trigger \"url\""),
        ("POST /hooks/default/event/twice", &auth[..], "{}", 404, "several triggers \"twice\""),
        ("POST /hooks/default/gone/gh", &auth[..], "{}", 404, "does not exist"),
        ("POST /hooks/default/event/paused", &auth[..], "{}", 503, "closed"),
        ("POST /hooks/default/event/polled", &auth[..], "{}", 400, "takes no notifications"),
        ("POST /hooks/default/event:$LATEST/twice", &auth[..], "no", 400, "not JSON"),
        ("POST /hooks/default/event/films", &auth[..], "{}", 400, "not a notification"),
        ("POST /hooks/default/event/ce", &auth[..], "{}", 400, "not a CloudEvent"),
    ] {
        let answer = send(&fixture, line, headers, body.as_bytes()).await;
        let message = answer.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, status, "{line}: {answer:?}");
        assert!(message.contains(part), "{line}: {message}");
    }
    let long = format!("\"{}\"", "x".repeat(128 << 10));
    let large = send(&fixture, "POST /hooks/default/event:$LATEST/twice", &auth, long.as_bytes()).await;
    assert_eq!(large.status, 413, "{large:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn a_trigger_without_secrets_opens_no_function_whose_url_wants_signatures() {
    let fixture = Fixture::start().await;
    let event = |kind: &str| json!({"specversion": "1.0", "id": "1", "source": "/s", "type": kind}).to_string();
    let json = ("Content-Type", "application/cloudevents+json");
    let open = send(&fixture, "POST /hooks/default/event/ce", &[json], event("paid").as_bytes()).await;
    let first = ids(&open);
    assert_eq!(returned(&fixture, &first[0]).await, event("paid"));
    let again = send(&fixture, "POST /hooks/default/event/ce", &[json], event("paid").as_bytes()).await;
    assert_eq!(ids(&again), first);
    let other = send(&fixture, "POST /hooks/default/event/ce", &[json], event("open").as_bytes()).await;
    assert_eq!((other.status, &other.json()["requestIds"]), (200, &json!([])), "the pattern leaves it out");
    let closed = send(&fixture, "POST /hooks/default/cam-event/ce", &[json], event("paid").as_bytes()).await;
    assert_eq!((closed.status, closed.header("www-authenticate")), (401, "TC3-HMAC-SHA256"));
    let signed = [json, ("Authorization", "secret")];
    let signed = send(&fixture, "POST /hooks/default/cam-event/ce", &signed, event("paid").as_bytes()).await;
    assert_eq!(ids(&signed).len(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn each_object_of_a_notification_is_an_event_of_its_own() {
    let fixture = Fixture::start().await;
    let record = |key: &str| {
        let object = json!({"key": key, "sequencer": "1"});
        json!({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "films"}, "object": object}})
    };
    let body = json!({"Records": [record("a+b.mp4"), record("c.txt"), record("d.mp4")]}).to_string();
    let (name, token) = bearer();
    let notify = async || send(&fixture, "POST /hooks/default/event/films", &[(name, &token)], body.as_bytes()).await;
    let first = ids(&notify().await);
    assert_eq!(first.len(), 2);
    let event: Value = serde_json::from_str(&returned(&fixture, &first[0]).await).expect("JSON");
    assert_eq!(event.pointer("/Records/0/cos/cosObject/key"), Some(&json!("/1250000000/films/a b.mp4")));
    assert_eq!(
        event.pointer("/Records/0/event/eventQueue"),
        Some(&json!("qcs:0:scf:r:appid/1250000000:default.event.$DEFAULT"))
    );
    assert_eq!(fixture.ended(&first[1]).await.invoke_type, InvokeType::Cos);
    // A repetition does not count; other events would exceed the trigger's limit per minute.
    assert_eq!(ids(&notify().await), first);
    let others = json!({"Records": [record("e.mp4"), record("f.mp4"), record("a+b.mp4")]}).to_string();
    let over = send(&fixture, "POST /hooks/default/event/films", &[(name, &token)], others.as_bytes()).await;
    assert_eq!(over.status, 429, "{over:?}");
    assert!(over.header("retry-after").parse::<u64>().expect("seconds") <= 60);
    fixture.stop().await;
}

#[tokio::test]
async fn subscriptions_are_confirmed_at_known_hosts_alone() {
    let fixture = Fixture::start().await;
    let (name, token) = bearer();
    for (url, status) in [
        ("https://sns.example.com/?Action=ConfirmSubscription", 200),
        ("https://down.example.com/", 502),
        ("https://evil.example/", 403),
        ("http://169.254.169.254/latest/meta-data", 403),
    ] {
        let body = json!({"Type": "SubscriptionConfirmation", "TopicArn": "t", "SubscribeURL": url}).to_string();
        let answer = send(&fixture, "POST /hooks/default/event/films", &[(name, &token)], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{url}: {answer:?}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn messages_of_sns_are_taken_as_they_were_signed() {
    let fixture = Fixture::start().await;
    let (name, token) = bearer();
    let messages = include_str!("../../src/asynchronous/hooks/sns_messages.json");
    let messages: Vec<Value> = serde_json::from_str(messages).expect("JSON");
    let status = async |message: &Value| {
        let body = message.to_string();
        send(&fixture, "POST /hooks/default/event/films", &[(name, &token)], body.as_bytes()).await
    };
    for (message, expected) in messages.iter().zip([202, 202, 200]) {
        let mut forged = message.clone();
        forged["Timestamp"] = "2026-03-02T02:00:01.000Z".into();
        let refused = status(&forged).await;
        let why = refused.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        assert!(refused.status == 403 && why.contains("signature of the message is wrong"), "{refused:?}");
        let answer = status(message).await;
        assert_eq!(answer.status, expected, "{answer:?}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn what_was_accepted_of_a_request_that_failed_is_not_accepted_again() {
    let queue = events::Config { function_rows_max: 1, runs_max: 1, ..events::Config::default() };
    let fixture = Fixture::start_queueing(Config::default(), queue).await;
    let event = |id: u32| json!({"specversion": "1.0", "id": id.to_string(), "source": "/s", "type": "paid"});
    let batch = json!([event(1), event(2), event(3)]).to_string();
    let json = ("Content-Type", "application/cloudevents-batch+json");
    let sent = async || send(&fixture, "POST /hooks/default/event/ce", &[json], batch.as_bytes()).await;
    let full = sent().await;
    assert_eq!(full.status, 429, "{full:?}");
    let all = async {
        loop {
            let answer = sent().await;
            if answer.status == 202 {
                return ids(&answer);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let all = tokio::time::timeout(WAIT_MAX, all).await.expect("there is room in the end");
    assert_eq!(all.len(), 3);
    for id in &all {
        assert_eq!(fixture.ended(id).await.state, RunState::Finished);
    }
    assert_eq!(ids(&sent().await), all, "each was accepted once");
    fixture.stop().await;
}

/// A function that writes to the bucket whose objects trigger it, and passes on its depth.
#[tokio::test]
async fn objects_of_a_chain_that_is_too_long_become_dead_letters() {
    let fixture = Fixture::start().await;
    let (name, token) = bearer();
    let notify = async |key: &str, metadata: Value| {
        let object = json!({"key": key, "sequencer": "1", "userMetadata": metadata});
        let record =
            json!({"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "films"}, "object": object}});
        let body = json!({"Records": [record]}).to_string();
        ids(&send(&fixture, "POST /hooks/default/event/films", &[(name, &token)], body.as_bytes()).await).remove(0)
    };
    let last = notify("a.mp4", json!({"X-Amz-Meta-Scf-Chain-Depth": "15", "content-type": "video/mp4"})).await;
    assert_eq!(fixture.ended(&last).await.state, RunState::Finished);
    let beyond = fixture.ended(&notify("b.mp4", json!({"X-Amz-Meta-Scf-Chain-Depth": "16"})).await).await;
    let why = beyond.result.unwrap_or_default();
    assert_eq!((beyond.state, why.contains("16 events have led here")), (RunState::Failed, true), "{why}");
    let letters = DeadLetters { namespace: "default".parse().expect("a name"), function: None };
    let letters = fixture.events.dead_letters(letters, 0, 9).await.expect("dead letters are readable");
    assert_eq!(letters.iter().map(|letter| letter.reason.as_str()).collect::<Vec<_>>(), ["chain_too_deep"]);
    fixture.stop().await;
}
