//! Untrusted input of triggers: signatures, notifications of object stores, CloudEvents, and event
//! patterns on all of them. No input panics; an event's data keep their bytes.
#![no_main]

use bytes::Bytes;
use formats::hook::{CloudEvents, Objects, Webhook, shown, with_secrets_of};
use formats::object::{Notification, Origin, cos_event, may_confirm};
use formats::pattern::Pattern;
use formats::signature::{Scheme, Secrets, verify};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

const ORIGIN: Origin<'_> = Origin { app_id: "1", region: "r", notification_id: "n", queue: "q", endpoint: "http://e" };

fuzz_target!(|input: (&str, &[u8])| {
    let (text, body) = input;
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(text) {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256", "stripe-signature"] {
            headers.insert(name, value.clone());
        }
        headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
        headers.insert("ce-id", value.clone());
        headers.insert("ce-source", value.clone());
        headers.insert("ce-type", value.clone());
        headers.insert(AUTHORIZATION, value.clone());
        headers.insert(CONTENT_TYPE, value);
    }
    for scheme in [Scheme::Github, Scheme::Stripe, Scheme::Bearer] {
        let secrets = Secrets::new(scheme, &["a secret of many letters".replace(' ', "-")]).expect("it is long enough");
        assert!(verify(&secrets, &headers, body, 0, 300).is_err());
    }
    if let Ok(Notification::Changes(changes)) = Notification::parse(body) {
        for change in changes {
            let _ = (change.dedup_key(), change.raw_event(), cos_event(&change, ORIGIN));
        }
    }
    let body = Bytes::copy_from_slice(body);
    for event in formats::cloudevents::parse(&headers, &body).unwrap_or_default() {
        let _ = (event.data(), event.binary());
        assert!(serde_json::from_slice::<serde_json::Value>(&event.json()).is_ok());
    }
    if let Ok(pattern) = Pattern::parse(text) {
        _ = pattern.matches_bytes(&body);
    }
    // Trigger descriptions: shown descriptions never contain a secret.
    let _ = (Webhook::parse(text), CloudEvents::parse(text), Objects::parse(text, "bucket"));
    if let Ok(object) = formats::json::object(text) {
        assert!(!with_secrets_of(&shown(text), &object).is_empty());
        let shown: serde_json::Value = serde_json::from_str(&shown(text)).expect("an object is shown as one");
        assert!(shown["Secrets"].as_array().is_none_or(|all| all.iter().all(|secret| secret == "***")));
    }
    may_confirm(text, &["example.com".to_owned()]);
});
