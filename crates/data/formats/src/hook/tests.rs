//! Requests of unknown senders, and their outcomes.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::*;

const SECRET: &str = "0123456789abcdef";

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn request<'a>(headers: &'a HeaderMap, body: &'a Bytes) -> Request<'a> {
    Request { headers, body, now_s: 1_700_000_000 }
}

const ORIGIN: Origin<'_> =
    Origin { app_id: "1250000000", region: "r", notification_id: "t", queue: "default.f.$DEFAULT", endpoint: "" };

fn github(body: &[u8]) -> HeaderMap {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    headers(&[("x-hub-signature-256", &signature), ("x-github-delivery", "d1"), ("content-type", "application/json")])
}

fn events(received: Result<Received, Rejection>) -> Vec<Delivery> {
    match received.unwrap() {
        Received::Events(events) => events,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_webhook_is_passed_on_in_its_own_bytes() {
    let hook = Webhook::parse(&format!(
        r#"{{"Scheme":"github","Secrets":["{SECRET}"],"EventPattern":{{"action":["opened"]}}}}"#
    ))
    .unwrap();
    let body = Bytes::from_static(b"{\"action\": \"opened\",  \"n\": 1.0}");
    let signed = github(&body);
    let delivery = events(hook.receive(request(&signed, &body))).remove(0);
    assert_eq!((&delivery.event, &delivery.body, delivery.dedup_key.as_deref()), (&body, &body, Some("d1")));
    assert_eq!(delivery.headers, signed);
    let closed = Bytes::from_static(b"{\"action\":\"closed\"}");
    assert!(matches!(hook.receive(request(&github(&closed), &closed)), Ok(Received::Nothing(_))));
    // The signature is checked first: an unsigned body is not compared with the pattern.
    let refused = hook.receive(request(&signed, &closed)).unwrap_err();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(hook.receive(request(&HeaderMap::new(), &body)).unwrap_err().status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn a_body_that_the_pattern_cannot_read_is_refused_and_not_left_out() {
    let hook = format!(r#"{{"Scheme":"github","Secrets":["{SECRET}"],"EventPattern":{{"a":["b"]}}}}"#);
    let hook = Webhook::parse(&hook).unwrap();
    for body in [&b"{\"a\":\"b\",\"n\":1e400}"[..], b"\xef\xbb\xbf{\"a\":\"b\"}", b"no JSON"] {
        let body = Bytes::copy_from_slice(body);
        let refused = hook.receive(request(&github(&body), &body)).unwrap_err();
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{refused}");
    }
}

#[test]
fn faults_of_a_description_show_no_value() {
    for secrets in ["\"my-very-secret-0123456789\"", "[123456789012345]", "123456789012345", "[true]", "1.5e300"] {
        let refused = Webhook::parse(&format!(r#"{{"Scheme":"github","Secrets":{secrets}}}"#)).unwrap_err().to_string();
        assert!(refused.starts_with("TriggerDesc: invalid type: "), "{refused}");
        assert!(!refused.contains("very") && !refused.contains("1234567") && !refused.contains("1.5"), "{refused}");
        assert!(refused.contains("expected a s"), "{refused}");
    }
}

#[test]
fn no_two_cloudevents_have_one_key() {
    let hook = CloudEvents::parse(r#"{"Scheme":"none"}"#).unwrap();
    let json = headers(&[("content-type", "application/cloudevents+json")]);
    let key = |source: &str, id: &str| {
        let event = json!({"specversion": "1.0", "id": id, "source": source, "type": "t"}).to_string();
        events(hook.receive(request(&json, &Bytes::from(event)))).remove(0).dedup_key
    };
    assert_ne!(key("a\nb", "c"), key("a", "b\nc"));
}

#[test]
fn cloudevents_are_known_by_source_and_id() {
    let hook = CloudEvents::parse(r#"{"Scheme":"none","EventPattern":{"type":["paid"]}}"#).unwrap();
    let event = |source: &str, id: &str, kind: &str| {
        let data = "iw==";
        json!({"specversion": "1.0", "id": id, "source": source, "type": kind, "data_base64": data})
    };
    let batch =
        Bytes::from(json!([event("/a", "1", "paid"), event("/b", "1", "paid"), event("/a", "2", "open")]).to_string());
    let json = headers(&[("content-type", "application/cloudevents-batch+json")]);
    let all = events(hook.receive(request(&json, &batch)));
    assert_eq!(all.iter().map(|one| one.dedup_key.clone().unwrap()).collect::<Vec<_>>(), ["2:/a\n1", "2:/b\n1"]);
    assert_eq!(all[0].body.as_ref(), b"\x8b", "a web function gets the bytes");
    assert_eq!(all[0].headers["ce-source"], "/a");
    let bearer = CloudEvents::parse(&format!(r#"{{"Scheme":"bearer","Secrets":["{SECRET}"]}}"#)).unwrap();
    assert_eq!(bearer.receive(request(&json, &batch)).unwrap_err().status(), StatusCode::UNAUTHORIZED);
    let avro = headers(&[("content-type", "application/cloudevents+avro")]);
    assert_eq!(hook.receive(request(&avro, &batch)).unwrap_err().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(hook.receive(request(&HeaderMap::new(), &batch)).unwrap_err().status(), StatusCode::BAD_REQUEST);
}

fn notification() -> Bytes {
    let record = |bucket: &str, key: &str, name: &str| {
        let object = json!({"key": key, "sequencer": "1"});
        json!({"eventName": name, "s3": {"bucket": {"name": bucket}, "object": object}})
    };
    let records = [
        record("films", "in/a.mp4", "ObjectCreated:Put"),
        record("films", "in/a.txt", "ObjectCreated:Put"),
        record("other", "in/b.mp4", "ObjectCreated:Put"),
        record("films", "in/c.mp4", "ObjectRemoved:Delete"),
        record("films", "in/d.mp4", "ObjectCreated:Copy"),
    ];
    json!({"Records": records}).to_string().into()
}

#[test]
fn notifications_are_for_one_bucket_and_every_record_is_looked_at() {
    let description = format!(
        r#"{{"event":"cos:ObjectCreated:*","filter":{{"Prefix":"in/","Suffix":".mp4"}},"Secrets":["{SECRET}"]}}"#
    );
    let hook = Objects::parse(&description, "films").unwrap();
    let (body, bearer) = (notification(), headers(&[("authorization", &format!("Bearer {SECRET}"))]));
    let all = events(hook.receive(request(&bearer, &body), ORIGIN));
    let key = |delivery: &Delivery| {
        let event: serde_json::Value = serde_json::from_slice(&delivery.event).unwrap();
        event.pointer("/Records/0/cos/cosObject/key").unwrap().as_str().unwrap().to_owned()
    };
    assert_eq!(all.iter().map(key).collect::<Vec<_>>(), ["/1250000000/films/in/a.mp4", "/1250000000/films/in/d.mp4"]);
    assert_ne!(all[0].dedup_key, all[1].dedup_key);
    assert_eq!(hook.receive(request(&HeaderMap::new(), &body), ORIGIN).unwrap_err().status(), StatusCode::UNAUTHORIZED);
    let raw = Objects::parse(&description.replace("\"Secrets\"", "\"Format\":\"raw\",\"Secrets\""), "films").unwrap();
    let event = &events(raw.receive(request(&bearer, &body), ORIGIN))[0].event;
    assert!(event.starts_with(b"{\"Records\":[{\"eventName\":\"ObjectCreated:Put\""), "{event:?}");
}

#[test]
fn descriptions_are_checked_at_creation() {
    let webhook = |text: &str| Webhook::parse(text).map(drop).map_err(|error| error.to_string());
    let cloudevents = |text: &str| CloudEvents::parse(text).map(drop).map_err(|error| error.to_string());
    let objects = |text: &str| Objects::parse(text, "films").map(drop).map_err(|error| error.to_string());
    let secrets = format!(r#""Secrets":["{SECRET}"]"#);
    type Case<'a> = (&'a dyn Fn(&str) -> Result<(), String>, String, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (&webhook, "{}".to_owned(), "TriggerDesc.Scheme: is required"),
        (&webhook, r#"{"Scheme":"none"}"#.to_owned(), "TriggerDesc.Scheme: a webhook without a secret is not taken"),
        (&webhook, r#"{"Scheme":"x"}"#.to_owned(), "TriggerDesc.Scheme: \"x\" is not standard"),
        (&webhook, r#"{"Scheme":"github"}"#.to_owned(), "TriggerDesc.Secrets: 1 to 4 secrets are needed"),
        (&webhook, r#"{"Scheme":"github","Secrets":[""]}"#.to_owned(), "TriggerDesc.Secrets: secret 1 has 0 bytes"),
        (&webhook, r#"{"Scheme":"github","Secret":"x"}"#.to_owned(), "TriggerDesc: unknown field `Secret`"),
        (
            &webhook,
            format!(r#"{{"Scheme":"stripe",{secrets},"WindowSeconds":0}}"#),
            "TriggerDesc.WindowSeconds: 0 is not",
        ),
        (
            &webhook,
            format!(r#"{{"Scheme":"github",{secrets},"WindowSeconds":9}}"#),
            "TriggerDesc.WindowSeconds: signatures of scheme github have no time",
        ),
        (
            &webhook,
            format!(r#"{{"Scheme":"github",{secrets},"EventPattern":{{"a":1}}}}"#),
            "TriggerDesc.EventPattern: $.a: 1 must stand in an array",
        ),
        (&cloudevents, format!(r#"{{"Scheme":"none",{secrets}}}"#), "TriggerDesc.Secrets: have no use"),
        (&cloudevents, "{}".to_owned(), "TriggerDesc.Scheme: is required"),
        (&objects, "{}".to_owned(), "TriggerDesc.Secrets: 1 to 4 secrets are needed for notifications; to list"),
        (
            &objects,
            format!(r#"{{"event":"cos:Gone:*",{secrets}}}"#),
            "TriggerDesc: event \"cos:Gone:*\" does not exist",
        ),
        (&objects, format!(r#"{{"Format":"xml",{secrets}}}"#), "TriggerDesc.Format: \"xml\" is not cos or raw"),
        (&objects, format!(r#"{{"Bucket":"a/b",{secrets}}}"#), "TriggerDesc.Bucket"),
        (&objects, format!(r#"{{"filter":{{"prefix":""}},{secrets}}}"#), "TriggerDesc: unknown field `prefix`"),
        (
            &objects,
            format!(r#"{{"Poll":{{"Connection":"s"}},{secrets}}}"#),
            "TriggerDesc.Secrets: are for notifications",
        ),
        (
            &objects,
            r#"{"Poll":{"Connection":"s","IntervalSeconds":1}}"#.to_owned(),
            "TriggerDesc.Poll.IntervalSeconds: 1 is not from 5 to 86400",
        ),
        (
            &objects,
            r#"{"Poll":{"Connection":"s"},"event":"cos:ObjectRemove:*"}"#.to_owned(),
            "TriggerDesc.event: must be cos:ObjectCreated:*",
        ),
    ];
    for (parse, text, expected) in cases {
        let error = parse(&text).unwrap_err();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
    assert_eq!(objects(r#"{"Poll":{"Connection":"s"}}"#), Ok(()));
}

#[test]
fn shown_descriptions_have_no_secrets() {
    let text = format!(r#"{{"Scheme":"github","Secrets":["{SECRET}","{SECRET}"],"WindowSeconds":300}}"#);
    assert_eq!(shown(&text), r#"{"Scheme":"github","Secrets":["***","***"],"WindowSeconds":300}"#);
    assert_eq!(shown("0 0 * * * * *"), "0 0 * * * * *");
}

#[test]
fn secrets_that_are_hidden_stay_what_they_were() {
    let stored = json!({"Scheme": "github", "Secrets": [SECRET, "another secret of it"]});
    let stored = stored.as_object().unwrap();
    let secrets = |text: &str| {
        let merged: serde_json::Value = serde_json::from_str(&with_secrets_of(text, stored)).unwrap();
        merged["Secrets"].clone()
    };
    assert_eq!(secrets(r#"{"Secrets":["***","***"]}"#), json!([SECRET, "another secret of it"]));
    assert_eq!(
        secrets(r#"{"Secrets":["the next of them","***"]}"#),
        json!(["the next of them", "another secret of it"])
    );
    assert_eq!(secrets(r#"{"Secrets":["***"]}"#), json!([SECRET]));
    assert_eq!(secrets(r#"{"Secrets":["***","***","***"]}"#)[2], "***", "there is no third to stay");
    assert_eq!(with_secrets_of("* * * * *", stored), "* * * * *");
    assert_eq!(with_secrets_of("{}", stored), "{}");
}

#[test]
fn the_name_of_a_trigger_names_its_bucket() {
    for (name, bucket) in [
        ("films", "films"),
        ("films-1250000000", "films"),
        ("films-1250000000.cos.ap-guangzhou.myqcloud.com", "films"),
        ("films.example.com", "films.example.com"),
        ("-1250000000", "-1250000000"),
        ("films-99", "films-99"),
    ] {
        assert_eq!(bucket_of(name, "1250000000"), bucket, "{name}");
    }
}
