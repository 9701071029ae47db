//! Triggers: what makes events for a function.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{Qualifier, TriggerId};

/// A trigger of a function. Its name is unique among those of its kind and qualifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its id.
    pub id: TriggerId,
    /// `Type` of the API, such as `timer`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The version or alias that gets its events.
    pub qualifier: Qualifier,
    /// Settings of its type, as in `TriggerDesc`.
    pub desc: Map<String, Value>,
    /// Settings of every type.
    pub options: TriggerOptions,
    /// Whether it makes events.
    pub enabled: bool,
    /// Text that its events carry.
    pub custom_argument: String,
    /// Free text.
    pub description: String,
    /// Since when it makes events as it does now, Unix milliseconds: what was due before is not
    /// caught up on.
    pub since_ms: i64,
    /// When it was made, Unix milliseconds.
    pub added_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub modified_ms: i64,
}

/// Settings that a trigger of any kind may have, as keys of its `TriggerDesc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerOptions {
    /// Seconds from acceptance to the last moment at which a run of its events may begin, in place
    /// of the function's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u32>,
    /// Most events of it in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<u32>,
    /// Most runs of its events at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl TriggerOptions {
    /// The keys of a `TriggerDesc` that are options, whatever the kind.
    pub const KEYS: [&str; 3] = ["max_age_s", "rate_per_minute", "concurrency"];
}
