//! `TriggerDesc` of triggers that receive HTTP requests. Fields of the contract keep its spelling;
//! those that the contract does not have begin with a capital.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Proof;
use crate::json;
use crate::object::{Filter, InvalidFilter};
use crate::pattern::{self, Pattern};
use crate::signature::{InvalidSecret, Scheme, Secrets, WINDOW_S_DEFAULT};

/// Shortest and longest polling interval, in seconds.
const INTERVAL_S: std::ops::RangeInclusive<u32> = 5..=86_400;
/// Longest overlap of two passes, in seconds.
const OVERLAP_S_MAX: u32 = 86_400;
/// Longest window of a signature, in seconds.
const WINDOW_S_MAX: u32 = 86_400;
/// Shown in place of a secret.
const HIDDEN: &str = "***";

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    pub(super) proof: Proof,
    pub(super) pattern: Option<Pattern>,
}

/// A receiver of CloudEvents.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvents {
    pub(super) proof: Option<Proof>,
    pub(super) pattern: Option<Pattern>,
}

/// A bucket of an object store.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    /// The bucket.
    pub bucket: String,
    /// Filter of changes.
    pub filter: Filter,
    /// Whether the function gets the store's record instead of the contract's event.
    pub raw: bool,
    /// Polling settings, instead of notifications.
    pub poll: Option<Poll>,
    pub(super) proof: Option<Proof>,
    pub(super) pattern: Option<Pattern>,
}

/// Polling of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Poll {
    /// The store, by its name in the settings.
    pub connection: String,
    /// Pause between two passes, in seconds.
    #[serde(default = "interval_s", rename = "IntervalSeconds")]
    pub interval_s: u32,
    /// Time before the newest object that is listed again, in seconds: the longest delay until an
    /// object appears after its modification time.
    #[serde(default = "overlap_s", rename = "OverlapSeconds")]
    pub overlap_s: u32,
}

fn interval_s() -> u32 {
    60
}

fn overlap_s() -> u32 {
    3600
}

/// Why a description is invalid. Never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not the JSON of a description.
    #[error("TriggerDesc: {0}")]
    Json(String),
    /// An invalid field.
    #[error("TriggerDesc.{field}: {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// The reason.
        why: String,
    },
    /// Invalid secrets.
    #[error("TriggerDesc.Secrets: {0}")]
    Secret(#[from] InvalidSecret),
    /// An invalid filter.
    #[error("TriggerDesc: {0}")]
    Filter(#[from] InvalidFilter),
    /// An invalid pattern.
    #[error("TriggerDesc.EventPattern: {0}")]
    Pattern(#[from] pattern::Invalid),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SignedText<'a> {
    #[serde(default)]
    scheme: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    window_seconds: Option<u32>,
    #[serde(borrow, default)]
    event_pattern: Option<&'a RawValue>,
}

impl SignedText<'_> {
    fn scheme(&self) -> Result<Option<Scheme>, Invalid> {
        let names = "standard, github, stripe or bearer";
        match self.scheme.as_deref() {
            None => Err(field("Scheme", format!("is required: {names}"))),
            Some("none") => Ok(None),
            Some(name) => Scheme::from_text(name)
                .map(Some)
                .ok_or_else(|| field("Scheme", format!("{:?} is not {names}", crate::quoted(name)))),
        }
    }

    fn proof(&self, scheme: Scheme) -> Result<Proof, Invalid> {
        let window_s = self.window_seconds.unwrap_or(WINDOW_S_DEFAULT);
        if !(1..=WINDOW_S_MAX).contains(&window_s) {
            return Err(field("WindowSeconds", format!("{window_s} is not from 1 to {WINDOW_S_MAX}")));
        }
        if self.window_seconds.is_some() && !matches!(scheme, Scheme::Standard | Scheme::Stripe) {
            return Err(field("WindowSeconds", format!("signatures of scheme {} have no time", scheme.as_str())));
        }
        Ok(Proof { secrets: Secrets::new(scheme, &self.secrets)?, window_s })
    }
}

fn field(field: &'static str, why: impl Into<String>) -> Invalid {
    Invalid::Field { field, why: why.into() }
}

fn read<'a, T: Deserialize<'a>>(description: &'a str) -> Result<T, Invalid> {
    serde_json::from_str(description).map_err(|error| Invalid::Json(without_values(&error.to_string())))
}

/// The text of an error without the quoted value, which may be a secret of the wrong type.
fn without_values(fault: &str) -> String {
    const KINDS: [&str; 4] = ["string \"", "integer `", "floating point `", "boolean `"];
    let Some((kind, at)) = KINDS.iter().find_map(|kind| Some((kind, fault.find(kind)?))) else {
        return fault.to_owned();
    };
    let kept = &fault[..at + kind.len() - 2];
    let rest = fault.rfind(", expected").filter(|rest| *rest > at).map_or("", |rest| &fault[rest..]);
    format!("{kept}{rest}")
}

fn pattern(raw: Option<&RawValue>) -> Result<Option<Pattern>, Invalid> {
    Ok(raw.filter(|raw| raw.get() != "null").map(|raw| Pattern::parse(raw.get())).transpose()?)
}

impl Webhook {
    /// `{"Scheme": "standard", "Secrets": ["whsec_…"], "WindowSeconds": 300, "EventPattern": {…}}`
    ///
    /// # Errors
    /// The first invalid part.
    pub fn parse(description: &str) -> Result<Self, Invalid> {
        let text: SignedText<'_> = read(description)?;
        let scheme = text.scheme()?.ok_or_else(|| field("Scheme", "a webhook without a secret is not taken"))?;
        Ok(Self { proof: text.proof(scheme)?, pattern: pattern(text.event_pattern)? })
    }
}

impl CloudEvents {
    /// The same fields as a webhook; `"Scheme": "none"` accepts events without authentication.
    ///
    /// # Errors
    /// The first invalid part.
    pub fn parse(description: &str) -> Result<Self, Invalid> {
        let text: SignedText<'_> = read(description)?;
        let proof = match text.scheme()? {
            None if !text.secrets.is_empty() => return Err(field("Secrets", "have no use with the scheme none")),
            None if text.window_seconds.is_some() => {
                return Err(field("WindowSeconds", "has no use with the scheme none"));
            }
            None => None,
            Some(scheme) => Some(text.proof(scheme)?),
        };
        Ok(Self { proof, pattern: pattern(text.event_pattern)? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectsText<'a> {
    #[serde(default = "created")]
    event: String,
    #[serde(default)]
    filter: FilterText,
    #[serde(rename = "Bucket", default)]
    bucket: Option<String>,
    #[serde(rename = "Format", default)]
    format: Option<String>,
    #[serde(rename = "Secrets", default)]
    secrets: Vec<String>,
    #[serde(rename = "Poll", default)]
    poll: Option<Poll>,
    #[serde(rename = "EventPattern", borrow, default)]
    event_pattern: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
struct FilterText {
    prefix: String,
    suffix: String,
}

fn created() -> String {
    "cos:ObjectCreated:*".to_owned()
}

impl Objects {
    /// `{"event": "cos:ObjectCreated:*", "filter": {"Prefix": "", "Suffix": ""}, "Bucket": "films",
    /// "Format": "cos", "Secrets": ["…"], "Poll": {"Connection": "store", "IntervalSeconds": 60,
    /// "OverlapSeconds": 3600}, "EventPattern": {…}}`; the bucket is otherwise that of the name of
    /// the trigger. Either `Secrets`, tokens of notifications, or `Poll` is there.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(description: &str, bucket: &str) -> Result<Self, Invalid> {
        let text: ObjectsText<'_> = read(description)?;
        let filter = Filter::new(&text.event, &text.filter.prefix, &text.filter.suffix)?;
        let raw = match text.format.as_deref() {
            None | Some("cos") => false,
            Some("raw") => true,
            Some(other) => return Err(field("Format", format!("{:?} is not cos or raw", crate::quoted(other)))),
        };
        let bucket = text.bucket.unwrap_or_else(|| bucket.to_owned());
        if bucket.is_empty() || bucket.len() > 255 || bucket.contains('/') {
            return Err(field("Bucket", "is no name of a bucket"));
        }
        if let Some(poll) = &text.poll {
            check_poll(poll, &filter)?;
        }
        let proof = match (&text.poll, text.secrets.is_empty()) {
            (Some(_), true) => None,
            (Some(_), false) => {
                return Err(field("Secrets", "are for notifications; a trigger has either them or Poll"));
            }
            (None, true) => {
                let why = "1 to 4 secrets are needed for notifications; to list the bucket instead, give Poll";
                return Err(field("Secrets", why));
            }
            (None, false) => {
                Some(Proof { secrets: Secrets::new(Scheme::Bearer, &text.secrets)?, window_s: WINDOW_S_DEFAULT })
            }
        };
        Ok(Self { bucket, filter, raw, poll: text.poll, proof, pattern: pattern(text.event_pattern)? })
    }
}

fn check_poll(poll: &Poll, filter: &Filter) -> Result<(), Invalid> {
    let (min, max) = (INTERVAL_S.start(), INTERVAL_S.end());
    if poll.connection.is_empty() {
        return Err(field("Poll.Connection", "is empty; name one of [connections] in the settings"));
    }
    if !INTERVAL_S.contains(&poll.interval_s) {
        return Err(field("Poll.IntervalSeconds", format!("{} is not from {min} to {max}", poll.interval_s)));
    }
    if poll.overlap_s > OVERLAP_S_MAX {
        return Err(field("Poll.OverlapSeconds", format!("{} is more than {OVERLAP_S_MAX}", poll.overlap_s)));
    }
    // A listing shows only present objects, neither their origin nor deletions.
    if filter.event() != "cos:ObjectCreated:*" {
        return Err(field("event", "must be cos:ObjectCreated:* where the bucket is looked at"));
    }
    Ok(())
}

/// A description without its secrets.
pub fn shown(description: &str) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str::<Value>(description) else {
        return description.to_owned();
    };
    hide(&mut fields);
    Value::Object(fields).to_string()
}

/// A description whose hidden secrets, as [`shown`] hides them, are replaced by those of another
/// one, by position: so the rest of a description can be changed without them.
pub fn with_secrets_of(description: &str, other: &Map<String, Value>) -> String {
    // Unparsed text is refused by its parser, and must be kept for it.
    let Ok(mut fields) = json::object(description) else { return description.to_owned() };
    let (Some(Value::Array(secrets)), Some(Value::Array(kept))) = (fields.get_mut("Secrets"), other.get("Secrets"))
    else {
        return description.to_owned();
    };
    for (secret, kept) in secrets.iter_mut().zip(kept).filter(|(secret, _)| **secret == HIDDEN) {
        *secret = kept.clone();
    }
    Value::Object(fields).to_string()
}

fn hide(fields: &mut Map<String, Value>) {
    if let Some(secrets) = fields.get_mut("Secrets") {
        let count = secrets.as_array().map_or(1, Vec::len);
        *secrets = vec![HIDDEN; count].into();
    }
}
