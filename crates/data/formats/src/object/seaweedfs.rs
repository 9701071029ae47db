//! SeaweedFS's own notifications: changes of its filer, in which buckets are folders of `/buckets`.
//!
//! Their `event_type` is ignored, because it calls every change of an entry a rename; the paths
//! show whether it is one. Versions of a key are files `KEY.versions/v_ID`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::{Change, Unreadable, chain_depth};

const BUCKETS: &str = "/buckets/";
const VERSION_ID: &str = "Seaweed-X-Amz-Version-Id";
const DELETE_MARKER: &str = "Seaweed-X-Amz-Delete-Marker";

#[derive(Deserialize)]
struct Envelope {
    key: String,
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    old_entry: Option<Entry>,
    #[serde(default)]
    new_entry: Option<Entry>,
    #[serde(default)]
    new_parent_path: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    name: String,
    #[serde(default)]
    is_directory: bool,
    #[serde(default)]
    chunks: Value,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    extended: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(default)]
struct Attributes {
    file_size: Option<u64>,
    mtime: Option<i64>,
    mtime_ns: Option<i64>,
    mime: Option<String>,
    md5: Option<String>,
}

impl Entry {
    fn extended(&self, name: &str) -> Option<String> {
        decoded(self.extended.as_ref()?.get(name)?)
    }

    fn chain_depth(&self) -> Option<u32> {
        let metadata = self.extended.iter().flatten();
        chain_depth(metadata.filter_map(|(name, value)| Some((name, decoded(value)?))))
    }

    fn has_content_of(&self, other: &Self) -> bool {
        self.chunks == other.chunks && self.content == other.content && self.attributes == other.attributes
    }
}

fn decoded(value: &Value) -> Option<String> {
    String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok()
}

pub(super) fn changes(text: &str) -> Result<Vec<Change>, Unreadable> {
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| Unreadable::Json(error.to_string()))?;
    let Message { old_entry, new_entry, new_parent_path } = envelope.message;
    let old = old_entry.map(|entry| (envelope.key.clone(), entry));
    let new = new_entry.map(|entry| {
        let path = match new_parent_path.filter(|parent| !parent.is_empty()) {
            Some(parent) => format!("{}/{}", parent.trim_end_matches('/'), entry.name),
            None => envelope.key.clone(),
        };
        (path, entry)
    });
    let changed = match (old, new) {
        (Some((before, old)), Some((path, new))) if before == path => match new.has_content_of(&old) {
            true => vec![],
            false => vec![created(&path, &new, text)],
        },
        (old, new) => {
            let gone = old.map(|(path, entry)| removed(&path, &entry, text));
            gone.into_iter().chain(new.map(|(path, entry)| created(&path, &entry, text))).collect()
        }
    };
    Ok(changed.into_iter().flatten().collect())
}

fn created(path: &str, entry: &Entry, text: &str) -> Option<Change> {
    let is_marker = entry.extended(DELETE_MARKER).is_some_and(|marker| marker == "true");
    change(path, entry, if is_marker { "ObjectRemoved:DeleteMarkerCreated" } else { "ObjectCreated:Put" }, text)
}

fn removed(path: &str, entry: &Entry, text: &str) -> Option<Change> {
    change(path, entry, "ObjectRemoved:Delete", text)
}

/// `None` for entries that are not objects: folders, and parts of unfinished uploads.
fn change(path: &str, entry: &Entry, name: &str, text: &str) -> Option<Change> {
    let (bucket, path) = path.strip_prefix(BUCKETS)?.split_once('/')?;
    let hidden = path.split('/').next().is_some_and(|first| first == ".uploads" || first == ".system");
    if entry.is_directory || hidden || path.is_empty() {
        return None;
    }
    let (key, version) = match path.rsplit_once(".versions/v_") {
        Some((key, id)) if !id.contains('/') => (key, entry.extended(VERSION_ID).or_else(|| Some(id.to_owned()))),
        _ => (path, None),
    };
    let Attributes { file_size, mtime, mtime_ns, mime, md5 } = &entry.attributes;
    let etag = md5.as_deref().and_then(|md5| STANDARD.decode(md5).ok()).filter(|md5| !md5.is_empty());
    Some(Change {
        name: name.to_owned(),
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        size: *file_size,
        etag: etag.map(hex::encode),
        version: version.filter(|version| version != "null"),
        sequencer: None,
        time_ms: mtime.map(|s| s.saturating_mul(1000).saturating_add(mtime_ns.unwrap_or(0) / 1_000_000)),
        region: None,
        source_ip: None,
        request_id: None,
        content_type: mime.clone().filter(|mime| !mime.is_empty()),
        chain_depth: entry.chain_depth(),
        raw: text.into(),
        is_record: false,
    })
}
