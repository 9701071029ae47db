//! Events as JSON, alone or in a batch.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{BATCH_MAX, CloudEvent, Data, Invalid, check, is_json};

pub(super) fn batch(body: &Bytes) -> Result<Vec<CloudEvent>, Invalid> {
    let elements: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| Invalid::Json(error.to_string()))?;
    if elements.len() > BATCH_MAX {
        return Err(Invalid::TooMany(elements.len()));
    }
    let events = elements.into_iter().enumerate().map(|(index, element)| {
        let json = body.slice_ref(element.get().as_bytes());
        event(json).map_err(|source| Invalid::InBatch { index, source: source.into() })
    });
    events.collect()
}

pub(super) fn event(json: Bytes) -> Result<CloudEvent, Invalid> {
    let mut members: BTreeMap<String, &RawValue> =
        serde_json::from_slice(&json).map_err(|error| Invalid::Json(error.to_string()))?;
    let data = members.remove("data").filter(|data| data.get() != "null");
    let base64 = members.remove("data_base64").filter(|data| data.get() != "null");
    let mut attributes = BTreeMap::new();
    for (name, value) in members {
        match serde_json::from_str(value.get()) {
            // Null is equal to absent.
            Ok(Value::Null) => {}
            Ok(value) => drop(attributes.insert(name, value)),
            Err(error) => return Err(Invalid::Json(error.to_string())),
        }
    }
    check(&attributes)?;
    let content_type = match attributes.get("datacontenttype") {
        None => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => return Err(Invalid::Attribute { name: "datacontenttype".to_owned(), why: "must be a string" }),
    };
    let data = match (data, base64) {
        (None, None) => Data::None,
        (Some(_), Some(_)) => {
            return Err(Invalid::Attribute { name: "data_base64".to_owned(), why: "stands beside data" });
        }
        (Some(raw), None) => match serde_json::from_str::<String>(raw.get()) {
            Ok(text) if !is_json(content_type) => Data::Text(text.into()),
            _ => Data::Json(raw.get().into()),
        },
        (None, Some(raw)) => {
            let text = serde_json::from_str::<String>(raw.get()).ok();
            let bytes = text.and_then(|text| STANDARD.decode(text).ok());
            let why = "must be a string in base64";
            Data::Binary(bytes.ok_or(Invalid::Attribute { name: "data_base64".to_owned(), why })?.into())
        }
    };
    Ok(CloudEvent { attributes, data, json })
}
