//! Events in each mode, and refused requests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

const CE: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/shop"), ("ce-type", "paid")];

fn binary(more: &[(&str, &str)], body: &'static [u8]) -> Result<CloudEvent, Invalid> {
    let all = [&CE, more].concat();
    parse(&headers(&all), &Bytes::from_static(body)).map(|mut events| events.remove(0))
}

fn structured(content_type: &str, body: &str) -> Result<Vec<CloudEvent>, Invalid> {
    parse(&headers(&[("content-type", content_type)]), &Bytes::copy_from_slice(body.as_bytes()))
}

const ATTRIBUTES: &str = r#""specversion":"1.0","id":"7","source":"/shop","type":"paid""#;

#[test]
fn binary_events_become_json_and_their_data_keep_their_bytes() {
    let begin = r#"{"id":"7","source":"/shop","specversion":"1.0","type":"paid""#;
    let typed = |media: &str, data: &str| {
        let attributes = begin.trim_start_matches('{');
        format!("{{\"datacontenttype\":\"{media}\",{attributes},{data}}}")
    };
    let (json, text, octets) = ("application/json", "text/plain", "application/octet-stream");
    for (content_type, body, json) in [
        (None, b"".as_slice(), format!("{begin}}}")),
        (None, b"{\"a\": 1.0}", format!("{begin},\"data\":{{\"a\": 1.0}}}}")),
        (Some(json), b"{\"a\": 1.0}", typed(json, r#""data":{"a": 1.0}"#)),
        (Some(text), b"a \"b\"", typed(text, r#""data":"a \"b\"""#)),
        (Some(json), b"{no", typed(json, r#""data_base64":"e25v""#)),
        // Trap 27.
        (Some(octets), b"\x8b\x00", typed(octets, r#""data_base64":"iwA=""#)),
        (Some(text), b"\x8b", typed(text, r#""data_base64":"iw==""#)),
    ] {
        let more: Vec<_> = content_type.into_iter().map(|content_type| ("content-type", content_type)).collect();
        let event = binary(&more, body).unwrap();
        assert_eq!(std::str::from_utf8(&event.json()).unwrap(), json);
        assert_eq!(event.data().as_ref(), body, "{json}");
        // And the result is an event of the other mode with the same data.
        let again = structured("application/cloudevents+json", &json).unwrap().remove(0);
        assert_eq!(again.data().as_ref(), body, "{json}");
        assert_eq!((again.id(), again.source(), again.kind()), ("7", "/shop", "paid"));
    }
}

#[test]
fn structured_events_are_passed_on_as_they_came() {
    let body = format!("{{ {ATTRIBUTES}, \"data\": {{\"n\":  1.0}}, \"n\": null }}");
    for content_type in ["application/cloudevents+json", "Application/CloudEvents+JSON; charset=\"UTF-8\""] {
        let events = structured(content_type, &body).unwrap();
        assert_eq!(events[0].json().as_ref(), body.as_bytes());
        assert_eq!(events[0].data().as_ref(), b"{\"n\":  1.0}");
    }
}

#[test]
fn base64_stands_for_bytes_and_is_undone() {
    let body = format!("{{{ATTRIBUTES},\"datacontenttype\":\"application/x-thing\",\"data_base64\":\"ZGF0YYs=\"}}");
    let event = structured("application/cloudevents+json", &body).unwrap().remove(0);
    let (headers, data) = event.binary();
    assert_eq!(data.as_ref(), b"data\x8b");
    assert!(headers.contains(&("content-type".to_owned(), "application/x-thing".to_owned())), "{headers:?}");
    assert!(headers.contains(&("ce-id".to_owned(), "7".to_owned())), "{headers:?}");
    // A text is taken literally, JSON text as JSON.
    for (content_type, data, bytes) in [
        ("text/plain", "\"a\\nb\"", "a\nb"),
        ("application/json", "\"a\"", "\"a\""),
        ("application/x+json", "[1]", "[1]"),
    ] {
        let body = format!("{{{ATTRIBUTES},\"datacontenttype\":\"{content_type}\",\"data\":{data}}}");
        let event = structured("application/cloudevents+json", &body).unwrap().remove(0);
        assert_eq!(event.data().as_ref(), bytes.as_bytes(), "{body}");
    }
}

#[test]
fn batches_are_taken_whole_or_not_at_all() {
    let batch = "application/cloudevents-batch+json";
    let other = ATTRIBUTES.replace('7', "8");
    let events = structured(batch, &format!("[ {{{ATTRIBUTES}}} , {{{other}}} ]")).unwrap();
    assert_eq!(events.iter().map(CloudEvent::id).collect::<Vec<_>>(), ["7", "8"]);
    assert_eq!(events[1].json().as_ref(), format!("{{{other}}}").as_bytes());
    assert_eq!(structured(batch, "[]").unwrap(), []);
    let wrong = structured(batch, &format!("[{{{ATTRIBUTES}}},{{}}]")).unwrap_err().to_string();
    assert_eq!(wrong, "event 1 of the batch: attribute specversion: is required");
    let many = format!("[{}]", vec![format!("{{{ATTRIBUTES}}}"); 1001].join(","));
    assert_eq!(structured(batch, &many), Err(Invalid::TooMany(1001)));
}

#[test]
fn what_is_no_cloudevent_is_refused() {
    let json = "application/cloudevents+json";
    for (content_type, body, expected) in [
        ("application/json", "{}".to_owned(), "not a CloudEvent"),
        ("application/cloudevents+avro", "{}".to_owned(), "the event format"),
        ("application/cloudevents", "{}".to_owned(), "the event format"),
        ("application/cloudevents+json; charset=utf-16", "{}".to_owned(), "the event format"),
        ("application/cloudeventsx", "{}".to_owned(), "not a CloudEvent"),
        (json, "[]".to_owned(), "not the JSON of a CloudEvent"),
        (json, "\u{0}".to_owned(), "not the JSON of a CloudEvent"),
        (json, format!("{{{}}}", ATTRIBUTES.replace("\"7\"", "7")), "attribute id: must be a string"),
        (json, format!("{{{}}}", ATTRIBUTES.replace("\"7\"", "\"\"")), "attribute id: is empty"),
        (json, format!("{{{}}}", ATTRIBUTES.replace("1.0", "0.3")), "attribute specversion: must be \"1.0\""),
        (json, format!("{{{ATTRIBUTES},\"Big\":1}}"), "attribute Big: names are"),
        (json, format!("{{{ATTRIBUTES},\"x\":{{}}}}"), "attribute x: must be a string"),
        (json, format!("{{{ATTRIBUTES},\"time\":\"yesterday\"}}"), "attribute time"),
        (json, format!("{{{ATTRIBUTES},\"data\":1,\"data_base64\":\"\"}}"), "stands beside data"),
        (json, format!("{{{ATTRIBUTES},\"data_base64\":\"?\"}}"), "in base64"),
    ] {
        let error = structured(content_type, &body).unwrap_err().to_string();
        assert!(error.contains(expected), "{content_type} {body}: {error}");
    }
    assert!(binary(&[("ce-id", "8")], b"").unwrap_err().to_string().contains("two headers"));
    assert!(binary(&[("ce-datacontenttype", "a/b")], b"").unwrap_err().to_string().contains("is no header"));
    assert!(binary(&[("ce-my-thing", "a")], b"").unwrap_err().to_string().contains("names are"));
    assert!(binary(&[("ce-x", "%ff")], b"").unwrap_err().to_string().contains("not UTF-8"));
    assert!(
        parse(&headers(&CE[..2]), &Bytes::new()).unwrap_err().to_string().contains("attribute source: is required")
    );
}

#[test]
fn an_event_has_no_more_attributes_than_a_request_has_headers() {
    let event = |more: usize, value: &str| {
        let extensions: String = (0..more).map(|n| format!(r#","a{n}":"{value}""#)).collect();
        structured("application/cloudevents+json", &format!("{{{ATTRIBUTES}{extensions}}}")).map(|_| ())
    };
    assert_eq!(event(96, "x"), Ok(()));
    assert!(event(97, "x").unwrap_err().to_string().contains("at most 100"));
    assert!(event(33_000, "").is_err());
    assert!(event(1, &"x".repeat(8193)).unwrap_err().to_string().contains("too long"));
}

#[test]
fn texts_in_headers_are_escaped_and_unescaped_once() {
    let event = binary(&[("ce-subject", "Euro%20%E2%82%AC%2520")], b"").unwrap();
    assert!(String::from_utf8(event.json().to_vec()).unwrap().contains("\"subject\":\"Euro €%20\""));
    assert!(event.binary().0.contains(&("ce-subject".to_owned(), "Euro%20%E2%82%AC%2520".to_owned())));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_all_come_back(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut headers = headers(&CE);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let body = Bytes::from(body);
        let event = parse(&headers, &body).unwrap().remove(0);
        prop_assert_eq!(event.data(), body.clone());
        let again = structured::event(event.json()).unwrap();
        prop_assert_eq!(again.data(), body.clone());
        let _ = structured::event(body.clone());
        let _ = structured::batch(&body);
        let json = format!("{{{ATTRIBUTES},\"data_base64\":\"{}\"}}", STANDARD.encode(&body));
        prop_assert_eq!(structured::event(json.into()).unwrap().data(), body);
    }
}
