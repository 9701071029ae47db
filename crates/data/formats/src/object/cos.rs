//! The event of the contract (4.11): in the form of its own object store, for a change in any
//! store.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, json};

use super::Change;

/// Characters that are not escaped in a path.
pub(super) const IN_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The origin in an event.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The installation's account.
    pub app_id: &'a str,
    /// Its region, where the store names none.
    pub region: &'a str,
    /// The trigger.
    pub notification_id: &'a str,
    /// `namespace.function.qualifier`.
    pub queue: &'a str,
    /// The store's endpoint, such as `https://s3.example.com`; empty when unknown.
    pub endpoint: &'a str,
}

/// The contract's name of an event; `None` where it has none, such as for tags and retention.
pub(super) fn cos_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "ObjectCreated:Put" => "cos:ObjectCreated:Put",
        "ObjectCreated:Post" => "cos:ObjectCreated:Post",
        "ObjectCreated:Copy" => "cos:ObjectCreated:Copy",
        "ObjectCreated:Append" => "cos:ObjectCreated:Append",
        "ObjectCreated:CompleteMultipartUpload" => "cos:ObjectCreated:CompleteMultipartUpload",
        "ObjectRemoved:Delete" | "LifecycleExpiration:Delete" => "cos:ObjectRemove:Delete",
        "ObjectRemoved:DeleteMarkerCreated" | "LifecycleExpiration:DeleteMarkerCreated" => {
            "cos:ObjectRemove:DeleteMarkerCreated"
        }
        "ObjectRestore:Post" => "cos:ObjectRestore:Post",
        "ObjectRestore:Completed" => "cos:ObjectRestore:Completed",
        _ => return None,
    })
}

/// The event of one change, with one record; `None` when the contract has no name for it.
pub fn cos_event(change: &Change, origin: Origin<'_>) -> Option<Vec<u8>> {
    let name = cos_name(&change.name)?;
    let Origin { app_id, region, notification_id, queue, endpoint } = origin;
    let Change { bucket, key, .. } = change;
    let mut meta = Map::new();
    meta.insert("x-cos-request-id".to_owned(), change.request_id.as_deref().unwrap_or_default().into());
    meta.insert("Content-Type".to_owned(), change.content_type.as_deref().unwrap_or_default().into());
    if let Some(etag) = &change.etag {
        meta.insert("ETag".to_owned(), format!("\"{etag}\"").into());
    }
    let url = match endpoint.trim_end_matches('/') {
        "" => String::new(),
        endpoint => format!("{endpoint}/{bucket}/{}", utf8_percent_encode(key, IN_PATHS)),
    };
    let event = json!({"Records": [{
        "cos": {
            "cosSchemaVersion": "1.0",
            "cosObject": {
                "url": url,
                "meta": meta,
                "vid": change.version.as_deref().unwrap_or_default(),
                "key": format!("/{app_id}/{bucket}/{key}"),
                "size": change.size.unwrap_or(0),
            },
            "cosBucket": {"region": change.region.as_deref().unwrap_or(region), "name": bucket, "appid": app_id},
            "cosNotificationId": notification_id,
        },
        "event": {
            "eventName": name,
            "eventVersion": "1.0",
            "eventTime": change.time_ms.unwrap_or(0).div_euclid(1000),
            "eventSource": "qcs::cos",
            "requestParameters": {
                "requestSourceIP": change.source_ip.as_deref().unwrap_or_default(),
                "requestHeaders": {},
            },
            "eventQueue": format!("qcs:0:scf:{region}:appid/{app_id}:{queue}"),
            "reservedInfo": "",
            "reqid": 0,
        },
    }]});
    Some(serde_json::to_vec(&event).expect("texts and numbers are always JSON"))
}
