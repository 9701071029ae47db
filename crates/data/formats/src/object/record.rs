//! A record of S3's notifications. MinIO sends the same except `s3:` before the name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Change, chain_depth};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    #[serde(default)]
    event_time: Option<String>,
    #[serde(default)]
    aws_region: Option<String>,
    #[serde(default)]
    request_parameters: Option<RequestParameters>,
    #[serde(default)]
    response_elements: Option<ResponseElements>,
    s3: Entity,
}

#[derive(Deserialize)]
struct RequestParameters {
    #[serde(rename = "sourceIPAddress", default)]
    source_ip: Option<String>,
}

#[derive(Deserialize)]
struct ResponseElements {
    #[serde(rename = "x-amz-request-id", default)]
    request_id: Option<String>,
}

#[derive(Deserialize)]
struct Entity {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    key: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    e_tag: Option<String>,
    #[serde(default)]
    version_id: Option<String>,
    #[serde(default)]
    sequencer: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    /// Only sent by MinIO.
    #[serde(default)]
    user_metadata: Option<BTreeMap<String, Value>>,
}

pub(super) fn change(raw: &RawValue) -> Result<Change, serde_json::Error> {
    let record: Record = serde_json::from_str(raw.get())?;
    let object = record.s3.object;
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let metadata = object.user_metadata.unwrap_or_default().into_iter();
    let metadata = metadata.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
    Ok(Change {
        name: record.event_name.trim_start_matches("s3:").to_owned(),
        bucket: record.s3.bucket.name,
        key: decoded(&object.key),
        size: object.size,
        etag: text(object.e_tag).map(|etag| etag.trim_matches('"').to_owned()),
        // "null" is the version of objects from before versioning was enabled.
        version: text(object.version_id).filter(|version| version != "null"),
        sequencer: text(object.sequencer),
        time_ms: record.event_time.as_deref().and_then(unix_ms),
        region: text(record.aws_region),
        source_ip: text(record.request_parameters.and_then(|parameters| parameters.source_ip)),
        request_id: text(record.response_elements.and_then(|elements| elements.request_id)),
        content_type: text(object.content_type),
        chain_depth: chain_depth(metadata),
        raw: raw.get().into(),
        is_record: true,
    })
}

/// Keys are form-encoded in records: `+` is a space. Decoded exactly once, so that a key with a `%`
/// in it is unchanged.
fn decoded(key: &str) -> String {
    let spaced = if key.contains('+') { Cow::Owned(key.replace('+', " ")) } else { Cow::Borrowed(key) };
    percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()
}

/// Parses a time of RFC 3339; without a zone it is UTC.
fn unix_ms(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    let time: DateTime = text.parse().ok()?;
    time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp().as_millisecond())
}
