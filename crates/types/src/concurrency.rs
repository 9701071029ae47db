//! Settings of a function's instances apart from the demand of requests: quota, instances
//! kept ready, sessions (contract 4.8).

use serde::{Deserialize, Serialize};

use crate::alias::Weight;

/// Instances of a published version that are started ahead and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionedSpec {
    /// How many, when neither an action nor tracking says otherwise.
    pub number: u32,
    /// Follows the load instead of a fixed number.
    pub tracking: Option<Tracking>,
    /// Numbers that come into force at times.
    pub actions: Vec<ScheduledAction>,
    /// When this was decided, in Unix milliseconds: times before that brought no action into force.
    #[serde(default)]
    pub set_ms: i64,
    /// How far the local time of the actions is ahead of UTC, in seconds.
    #[serde(default)]
    pub utc_offset_s: i32,
}

impl ProvisionedSpec {
    /// Most instances that this ever asks for.
    pub fn most(&self) -> u32 {
        let actions = self.actions.iter().map(|action| action.number);
        let tracked = self.tracking.iter().map(|tracking| tracking.max);
        actions.chain(tracked).fold(self.number, u32::max)
    }
}

/// As many as keep the utilisation at a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// Wanted share of the instances' concurrency in use; between 0 and 1, neither included.
    pub target: Weight,
    /// Fewest instances, at least 1.
    pub min: u32,
    /// Most instances.
    pub max: u32,
}

/// A number that comes into force at times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledAction {
    /// Its name, unique in a version.
    pub name: String,
    /// Instances from then on.
    pub number: u32,
    /// When: seven fields, second to year, in the installation's time zone (contract 4.11).
    pub cron: String,
    /// The API's `ProvisionedType`, as it was given.
    pub provisioned_type: Option<String>,
}

/// Requests of one session go to one instance (web functions).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// Where the session's key is found in a request.
    pub source: SessionSource,
    /// Name of the header, cookie or query parameter.
    pub name: String,
    /// Sessions that one instance may have at once.
    pub per_instance_max: u32,
    /// Longest life of a session, in seconds.
    pub ttl_s_max: u32,
    /// How long a session is kept without a request, in seconds.
    pub idle_s_max: u32,
    /// A session without requests is kept all its life; its instance is frozen meanwhile, where
    /// that is not switched off.
    #[serde(default)]
    pub idle_pauses: bool,
}

/// Where the key of a session is found in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SessionSource {
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// A parameter of the query.
    Query,
}
