//! Concurrency settings of a function: quota, provisioned instances, sessions (contract 4.8).

use serde::{Deserialize, Serialize};

use crate::alias::Weight;

/// Provisioned concurrency: instances of a published version that start before calls and are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionedSpec {
    /// Number of instances, unless an action or tracking overrides it.
    pub number: u32,
    /// Follows the load instead of a fixed number.
    pub tracking: Option<Tracking>,
    /// Numbers on a schedule.
    pub actions: Vec<ScheduledAction>,
    /// When this was set, in Unix milliseconds; earlier times of actions do not count.
    #[serde(default)]
    pub set_ms: i64,
    /// Offset from UTC of the actions' local time, in seconds.
    #[serde(default)]
    pub utc_offset_s: i32,
}

impl ProvisionedSpec {
    /// The maximum number of instances that this requests.
    pub fn most(&self) -> u32 {
        let actions = self.actions.iter().map(|action| action.number);
        let tracked = self.tracking.iter().map(|tracking| tracking.max);
        actions.chain(tracked).fold(self.number, u32::max)
    }
}

/// Follows a target utilisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// Target share of the instances' concurrency in use, between 0 and 1, both excluded.
    pub target: Weight,
    /// Minimum number of instances, at least 1.
    pub min: u32,
    /// Maximum number of instances.
    pub max: u32,
}

/// A number on a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledAction {
    /// Its name, unique in a version.
    pub name: String,
    /// Number of instances from then on.
    pub number: u32,
    /// Schedule: seven fields, second to year, in the installation's time zone (contract 4.11).
    pub cron: String,
    /// The API's `ProvisionedType`, unchanged.
    pub provisioned_type: Option<String>,
}

/// Session affinity of a web function: one instance serves all requests of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// Part of the request that has the session key.
    pub source: SessionSource,
    /// Name of the header, cookie or query parameter.
    pub name: String,
    /// Maximum concurrent sessions of one instance.
    pub per_instance_max: u32,
    /// Longest lifetime of a session, in seconds.
    pub ttl_s_max: u32,
    /// Longest time without a request before a session ends, in seconds.
    pub idle_s_max: u32,
    /// Keeps an idle session for its whole lifetime; its instance is frozen meanwhile, unless
    /// freezing is disabled.
    #[serde(default)]
    pub idle_pauses: bool,
}

/// Part of the request that has the session key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SessionSource {
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// A parameter of the query.
    Query,
}
