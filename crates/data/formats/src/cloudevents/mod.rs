//! CloudEvents 1.0 over HTTP: binary, structured and batch content mode.
//!
//! A function gets the structured JSON form. An event received in it is forwarded byte for byte; a
//! binary one is converted: data that are JSON keep their bytes, and data that are neither JSON nor
//! text become `data_base64`. [`CloudEvent::binary`] is the inverse.

mod binary;
mod structured;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use serde_json::Value;

/// Maximum of events of a batch.
pub const BATCH_MAX: usize = 1000;
/// Longest `id` and `source`, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 2048;
/// Maximum of attributes of an event; each is a header of a web function's request.
const ATTRIBUTES_MAX: usize = 100;
/// Longest value of any other attribute, in bytes.
const EXTENSION_BYTES_MAX: usize = 8192;
/// Longest name of an attribute, in bytes.
const NAME_BYTES_MAX: usize = 64;

const BATCH: &str = "application/cloudevents-batch";
const STRUCTURED: &str = "application/cloudevents";

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    attributes: BTreeMap<String, Value>,
    data: Data,
    json: Bytes,
}

#[derive(Debug, Clone, PartialEq)]
enum Data {
    None,
    /// The text of a JSON value.
    Json(Box<str>),
    Text(Box<str>),
    Binary(Bytes),
}

/// Why a request is not a valid CloudEvent; answered with 400, [`Invalid::Format`] with 415.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Neither a content type of CloudEvents nor their headers.
    #[error(
        "not a CloudEvent: the content type is neither application/cloudevents+json nor \
         application/cloudevents-batch+json, and there is no header ce-specversion"
    )]
    Absent,
    /// An event format other than JSON.
    #[error("the event format {0:?} is not taken; use application/cloudevents+json in UTF-8, or binary mode")]
    Format(String),
    /// The body is not the JSON of an event or a batch.
    #[error("not the JSON of a CloudEvent: {0}")]
    Json(String),
    /// An attribute is missing or invalid.
    #[error("attribute {name}: {why}")]
    Attribute {
        /// Its name.
        name: String,
        /// The reason.
        why: &'static str,
    },
    /// An event of a batch is invalid.
    #[error("event {index} of the batch: {source}")]
    InBatch {
        /// Its index, from 0.
        index: usize,
        /// The reason.
        source: Box<Invalid>,
    },
    /// The batch is too long.
    #[error("the batch has {0} events; {BATCH_MAX} are allowed")]
    TooMany(usize),
}

/// Parses the events of a request; an invalid one refuses its whole batch.
///
/// # Errors
/// See [`Invalid`].
pub fn parse(headers: &HeaderMap, body: &Bytes) -> Result<Vec<CloudEvent>, Invalid> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let format = |base: &str| {
        let suffix = media.strip_prefix(base)?;
        (suffix.is_empty() || suffix.starts_with('+')).then(|| suffix.to_owned())
    };
    let read: fn(&Bytes) -> Result<Vec<CloudEvent>, Invalid> = if let Some(suffix) = format(BATCH) {
        json_in_utf8(&suffix, content_type)?;
        structured::batch
    } else if let Some(suffix) = format(STRUCTURED) {
        json_in_utf8(&suffix, content_type)?;
        |body| structured::event(body.clone()).map(|event| vec![event])
    } else {
        return binary::event(headers, body).map(|event| vec![event]);
    };
    read(body)
}

fn json_in_utf8(suffix: &str, content_type: &str) -> Result<(), Invalid> {
    let lower = content_type.to_ascii_lowercase();
    let charset = lower.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("charset="));
    let utf8 = charset.is_none_or(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"));
    match suffix == "+json" && utf8 {
        true => Ok(()),
        false => Err(Invalid::Format(crate::quoted(content_type))),
    }
}

impl CloudEvent {
    /// Its id, unique together with the source.
    pub fn id(&self) -> &str {
        self.text("id")
    }

    /// Its source.
    pub fn source(&self) -> &str {
        self.text("source")
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        self.text("type")
    }

    fn text(&self, name: &str) -> &str {
        self.attributes.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The structured JSON form.
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// Its data as bytes: `data_base64` decoded, and a string without quotes unless its type is
    /// JSON.
    pub fn data(&self) -> Bytes {
        match &self.data {
            Data::None => Bytes::new(),
            Data::Json(text) | Data::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Data::Binary(bytes) => bytes.clone(),
        }
    }

    /// Headers and body of the binary content mode.
    pub fn binary(&self) -> (Vec<(String, String)>, Bytes) {
        (binary::headers(&self.attributes, !matches!(self.data, Data::None)), self.data())
    }
}

/// Checks the required attributes.
fn check(attributes: &BTreeMap<String, Value>) -> Result<(), Invalid> {
    let wrong = |name: &str, why| Err(Invalid::Attribute { name: crate::quoted(name), why });
    if let Some(name) = attributes.keys().nth(ATTRIBUTES_MAX) {
        return wrong(name, "is one too many: an event has at most 100");
    }
    for (name, value) in attributes {
        if name.len() > NAME_BYTES_MAX {
            return wrong(&name[..NAME_BYTES_MAX], "names are at most 64 bytes long");
        }
        if value.as_str().is_some_and(|text| text.len() > EXTENSION_BYTES_MAX) {
            return wrong(name, "is too long: 8192 bytes are allowed");
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return wrong(name, "names are lower-case letters and digits");
        }
        if matches!(value, Value::Array(_) | Value::Object(_)) {
            return wrong(name, "must be a string, a number or a boolean");
        }
    }
    for name in ["specversion", "id", "source", "type"] {
        match attributes.get(name) {
            None => return wrong(name, "is required"),
            Some(Value::String(text)) if text.is_empty() => return wrong(name, "is empty"),
            Some(Value::String(text)) if text.len() > ATTRIBUTE_BYTES_MAX => return wrong(name, "is too long"),
            Some(Value::String(_)) => {}
            Some(_) => return wrong(name, "must be a string"),
        }
    }
    if attributes["specversion"] != "1.0" {
        return wrong("specversion", "must be \"1.0\"");
    }
    match attributes.get("time").map(Value::as_str) {
        None => Ok(()),
        Some(Some(text)) if text.parse::<Timestamp>().is_ok() => Ok(()),
        Some(_) => wrong("time", "must be a time of RFC 3339"),
    }
}

/// Whether data of this content type are JSON. Without a content type they are (JSON format, 3.1).
fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.ends_with("/json") || media.ends_with("+json")
}

#[cfg(test)]
mod tests;
