//! Triggers: sources of events for a function.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{Qualifier, TriggerId};

/// A trigger of a function. Its name is unique for its kind and qualifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its id.
    pub id: TriggerId,
    /// `Type` of the API, such as `timer`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The version or alias that receives its events.
    pub qualifier: Qualifier,
    /// Settings of its kind, as in `TriggerDesc`.
    pub desc: Map<String, Value>,
    /// Settings common to all kinds.
    pub options: TriggerOptions,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Text added to its events.
    pub custom_argument: String,
    /// Free text.
    pub description: String,
    /// Start of its current configuration, Unix milliseconds; events due earlier are not made up
    /// for.
    pub since_ms: i64,
    /// When it was created, Unix milliseconds.
    pub added_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub modified_ms: i64,
}

/// Settings of triggers of all kinds, as keys of `TriggerDesc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerOptions {
    /// Maximum age of its events, in seconds from acceptance to the start of a run; overrides the
    /// function's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u32>,
    /// Maximum events per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// Maximum concurrent runs of its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl TriggerOptions {
    /// The keys of a `TriggerDesc` that are common options.
    pub const KEYS: [&str; 3] = ["max_age_s", "rate_per_minute", "concurrency"];
}
