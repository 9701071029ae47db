//! Notifications of object stores: the changes in them, and the event for a function.
//!
//! ```text
//! Records of S3 ──────────────┐
//! the same in an SNS envelope ├─> Change (one per object) ─> Filter ─> COS event | raw record
//! MinIO's webhook ────────────┤
//! SeaweedFS's webhook ────────┘
//! ```

mod cos;
mod filter;
pub mod listing;
mod record;
mod seaweedfs;
mod sns;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

pub use cos::{Origin, cos_event};
pub use filter::{Filter, InvalidFilter};
pub use sns::{Confirmation, Envelope, Hash, Signature, may_confirm};

/// Maximum of records of one notification.
pub const RECORDS_MAX: usize = 1000;

/// Metadata of an object that an event's run wrote: the run's `X-Scf-Chain-Depth`.
pub const CHAIN_DEPTH_METADATA: &str = "x-amz-meta-scf-chain-depth";

/// The contents of an object store's request.
#[derive(Debug, Clone, PartialEq)]
pub enum Notification {
    /// Changed objects; empty when only folders or attributes changed.
    Changes(Vec<Change>),
    /// SNS requests confirmation of the subscription.
    Confirm(Confirmation),
    /// No object changed: a test, or the end of a subscription.
    Nothing(&'static str),
}

/// One changed object.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Name as in S3, without `s3:`: `ObjectCreated:Put`.
    pub name: String,
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// Its size, if known.
    pub size: Option<u64>,
    /// Its ETag without quotes.
    pub etag: Option<String>,
    /// Its version in a versioned bucket.
    pub version: Option<String>,
    /// Orders changes of one key.
    pub sequencer: Option<String>,
    /// Unix milliseconds of the change.
    pub time_ms: Option<i64>,
    /// The store's region.
    pub region: Option<String>,
    /// The address that changed it.
    pub source_ip: Option<String>,
    /// The store's id of the request that changed it.
    pub request_id: Option<String>,
    /// The content type.
    pub content_type: Option<String>,
    /// The object's metadata [`CHAIN_DEPTH_METADATA`], where the store sends it: the number of
    /// events that led to the run that wrote the object.
    pub chain_depth: Option<u32>,
    /// The store's record of it, unchanged.
    pub raw: Box<str>,
    /// Whether `raw` is an element of `Records`.
    pub is_record: bool,
}

/// Why a body is not a notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not the JSON of a notification.
    #[error("not a notification of an object store: {0}")]
    Json(String),
    /// JSON of an unknown shape.
    #[error(
        "not a notification of an object store: it has neither Records (S3, MinIO) nor Type and Message (SNS) nor \
         event_type and message (SeaweedFS)"
    )]
    Shape,
    /// A record is incomplete.
    #[error("record {index} of the notification: {why}")]
    Record {
        /// Its index, from 0.
        index: usize,
        /// The reason.
        why: String,
    },
    /// Too many records.
    #[error("the notification has {0} records; {RECORDS_MAX} are allowed")]
    TooMany(usize),
}

/// The fields that distinguish the shapes.
#[derive(Deserialize)]
struct Top<'a> {
    #[serde(rename = "Records", borrow, default)]
    records: Option<Vec<&'a RawValue>>,
    #[serde(rename = "Type", default)]
    kind: Option<String>,
    #[serde(rename = "Event", default)]
    test: Option<String>,
    #[serde(default)]
    event_type: Option<String>,
}

impl Notification {
    /// Parses a body.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(body).map_err(|error| Unreadable::Json(error.to_string()))?;
        let top = top(text)?;
        match top.kind.as_deref() {
            Some(kind) if top.records.is_none() => match sns::open(text, kind)? {
                sns::Opened::Message(message) => Self::direct(&message),
                sns::Opened::Confirm(confirmation) => Ok(Self::Confirm(confirmation)),
                sns::Opened::Nothing(why) => Ok(Self::Nothing(why)),
            },
            _ => Self::direct(text),
        }
    }

    fn direct(text: &str) -> Result<Self, Unreadable> {
        let top = top(text)?;
        if let Some(records) = top.records {
            if records.len() > RECORDS_MAX {
                return Err(Unreadable::TooMany(records.len()));
            }
            let changes = records.into_iter().enumerate().map(|(index, raw)| {
                record::change(raw).map_err(|error| Unreadable::Record { index, why: error.to_string() })
            });
            return changes.collect::<Result<_, _>>().map(Self::Changes);
        }
        if top.test.as_deref() == Some("s3:TestEvent") {
            return Ok(Self::Nothing("a test of the store"));
        }
        if top.event_type.is_some() {
            return seaweedfs::changes(text).map(Self::Changes);
        }
        Err(Unreadable::Shape)
    }
}

/// The sender's authentication in a body, where it is an SNS envelope.
///
/// # Errors
/// [`Unreadable`].
pub fn envelope(body: &[u8]) -> Result<Option<Envelope>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|error| Unreadable::Json(error.to_string()))?;
    let top = top(text)?;
    (top.kind.is_some() && top.records.is_none()).then(|| sns::sender(text)).transpose()
}

/// The depth in an object's metadata; values that are not a number are ignored.
fn chain_depth(mut metadata: impl Iterator<Item = (impl AsRef<str>, String)>) -> Option<u32> {
    metadata.find(|(name, _)| name.as_ref().eq_ignore_ascii_case(CHAIN_DEPTH_METADATA))?.1.parse().ok()
}

fn top(text: &str) -> Result<Top<'_>, Unreadable> {
    serde_json::from_str(text).map_err(|error| Unreadable::Json(error.to_string()))
}

impl Change {
    /// Deduplication key, equal in every delivery of this change and unique: bucket, key and event
    /// name, with the version and the sequencer, or else the store's whole record.
    pub fn dedup_key(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        };
        add(&self.bucket);
        add(&self.key);
        add(&self.name);
        if self.version.is_none() && self.sequencer.is_none() {
            add(&self.raw);
        } else {
            add(self.version.as_deref().unwrap_or_default());
            add(self.sequencer.as_deref().unwrap_or_default());
        }
        hex::encode(hash.finalize())
    }

    /// The event with the store's record, unchanged.
    pub fn raw_event(&self) -> Vec<u8> {
        match self.is_record {
            true => format!("{{\"Records\":[{}]}}", self.raw).into_bytes(),
            false => self.raw.as_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests;
