//! Attributes in headers, data in the body.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{CloudEvent, Data, Invalid, check, is_json};

const PREFIX: &str = "ce-";
/// Characters escaped in headers (HTTP binding, 3.1.3.2).
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

pub(super) fn event(headers: &HeaderMap, body: &Bytes) -> Result<CloudEvent, Invalid> {
    if !headers.contains_key("ce-specversion") {
        return Err(Invalid::Absent);
    }
    let mut attributes = BTreeMap::new();
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix(PREFIX) else { continue };
        let wrong = |why| Err(Invalid::Attribute { name: crate::quoted(name), why });
        if name == "datacontenttype" || name == "data" {
            return wrong("is no header; data are the body, and their type is in Content-Type");
        }
        let Some(text) = decoded(value) else { return wrong("is not UTF-8") };
        if attributes.insert(name.to_owned(), Value::from(text)).is_some() {
            return wrong("has two headers");
        }
    }
    let content_type = match headers.get(CONTENT_TYPE).map(HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => {
            return Err(Invalid::Attribute { name: "datacontenttype".to_owned(), why: "is not plain text" });
        }
    };
    if let Some(text) = content_type {
        attributes.insert("datacontenttype".to_owned(), text.into());
    }
    check(&attributes)?;
    let data = data(content_type, body);
    let json = json(&attributes, &data);
    Ok(CloudEvent { attributes, data, json })
}

fn decoded(value: &HeaderValue) -> Option<String> {
    let text = percent_decode(value.as_bytes()).decode_utf8().ok()?;
    Some(text.into_owned())
}

fn data(content_type: Option<&str>, body: &Bytes) -> Data {
    if body.is_empty() {
        return Data::None;
    }
    let text = std::str::from_utf8(body).ok();
    match text {
        // Data with a JSON type that are not JSON are forwarded as bytes.
        Some(text) if is_json(content_type) => match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) => Data::Json(raw.get().into()),
            Err(_) => Data::Binary(body.clone()),
        },
        Some(text)
            if content_type.is_some_and(|media| media.trim_start().to_ascii_lowercase().starts_with("text/")) =>
        {
            Data::Text(text.into())
        }
        _ => Data::Binary(body.clone()),
    }
}

fn json(attributes: &BTreeMap<String, Value>, data: &Data) -> Bytes {
    let mut json = serde_json::to_string(attributes).expect("texts are always JSON");
    let (name, value) = match data {
        Data::None => return json.into(),
        Data::Json(text) => ("data", text.to_string()),
        Data::Text(text) => ("data", Value::from(text.as_ref()).to_string()),
        Data::Binary(bytes) => ("data_base64", Value::from(STANDARD.encode(bytes)).to_string()),
    };
    json.pop();
    json.push_str(&format!(",\"{name}\":{value}}}"));
    json.into()
}

pub(super) fn headers(attributes: &BTreeMap<String, Value>, has_data: bool) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut headers: Vec<_> = attributes
        .iter()
        .map(|(name, value)| match name.as_str() {
            "datacontenttype" => ("content-type".to_owned(), text(value)),
            name => (format!("{PREFIX}{name}"), utf8_percent_encode(&text(value), ESCAPED).to_string()),
        })
        .collect();
    // Without a type, data of the JSON format are JSON.
    if has_data && !attributes.contains_key("datacontenttype") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    headers
}
