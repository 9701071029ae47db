//! Limits of the pool, as the `[pool]` table of the configuration has them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::backoff::Pauses;
use crate::policy::keep_alive::KeepAlivePolicy;
use crate::set_aside::SetAside;

/// The `[pool]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Maximum of instances of all functions together, including those that start or end.
    pub instances_max: u32,
    /// Maximum of instances of one function, over all its versions.
    pub instances_per_function_max: u32,
    /// Memory sizes of all instances together, in MB: the quota of the installation, unless its
    /// owner set another one (API action PutTotalConcurrencyConfig). 0 takes the machine's memory
    /// when the caller names it with [`Config::or_machine_memory`], and no limit otherwise.
    pub memory_mb_max: u64,
    /// Memory that is not available to instances.
    #[serde(skip)]
    pub set_aside: SetAside,
    /// Instances started within any minute; 0 is no limit.
    pub starts_per_minute_max: u32,
    /// Instances started before any request needs them, within any minute; 0 is no limit.
    pub provisioned_starts_per_minute_max: u32,
    /// Share of the starts of a minute, prewarmed or not, that one function alone may have, in
    /// percent. Starts of other functions lower it, so that all converge to equal parts and a
    /// newcomer finds some left; 100 disables the sharing.
    pub starts_share_percent_max: u32,
    /// First back-off after a failed start of a version, in milliseconds; it doubles with each
    /// further failure in a row. Calls that need an instance meanwhile fail with the error of the
    /// last start. 0 disables back-off.
    pub start_backoff_ms_min: u64,
    /// Longest back-off, in milliseconds.
    pub start_backoff_ms_max: u64,
    /// Requests of one function that may wait for an instance.
    pub waiting_per_function_max: u32,
    /// Longest wait for an instance to come free when none may be started, in milliseconds. A
    /// request that waits for a start in progress waits until the start ends.
    pub wait_ms_max: u64,
    /// Instances that may be starting at the same time, of one version `starts_parallel_max` of
    /// them; further starts queue.
    pub starts_parallel_max: u32,
    /// How long a start counts towards `starts_parallel_max`, in milliseconds; towards its
    /// version's share it counts until it ends. Servers that take long to listen, or never do,
    /// delay other starts for no longer than this.
    pub start_hold_ms_max: u64,
    /// How long an instance has no requests before it is frozen, in milliseconds: it uses no
    /// processor until the next request, which thaws it. 0 freezes none; a function with the tag
    /// `sampan:freeze` of the value `off` is never frozen, so that timers and background work of
    /// its image continue.
    pub freeze_after_ms: u64,
    /// The cost of a cold start, in seconds of an idle instance. An idle instance is kept for this
    /// long until its version has enough samples for the keep-alive policy.
    pub keep_idle_s: u64,
    /// Shortest time that an idle instance is kept, in seconds, or `keep_idle_s` where that is
    /// less.
    pub keep_idle_s_min: u64,
    /// Longest time that an idle instance is kept, in seconds, or `keep_idle_s` where that is more.
    pub keep_idle_s_max: u64,
    /// Versions without instances whose call history is kept; 0 keeps none.
    pub keep_histories_max: usize,
    /// Interval at which idle instances are examined, in milliseconds.
    pub reap_interval_ms: u64,
    /// Interval at which every function of the catalog is examined, in seconds; in between only
    /// changed functions are.
    pub catalog_resync_interval_s: u64,
    /// Longest stop grace of an instance that is evicted for waiting requests, in milliseconds,
    /// even if its function's own grace is longer: they wait no longer than `wait_ms_max`.
    pub evict_grace_ms_max: u64,
    /// Longest wait of a shutdown for killed instances to end, in milliseconds.
    pub kill_wait_ms_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instances_max: 1000,
            instances_per_function_max: 200,
            memory_mb_max: 0,
            set_aside: SetAside::default(),
            starts_per_minute_max: 500,
            provisioned_starts_per_minute_max: 100,
            starts_share_percent_max: 60,
            start_backoff_ms_min: 1000,
            start_backoff_ms_max: 60_000,
            waiting_per_function_max: 1000,
            wait_ms_max: 10_000,
            starts_parallel_max: 32,
            start_hold_ms_max: 2000,
            freeze_after_ms: 1000,
            keep_idle_s: 60,
            keep_idle_s_min: 10,
            keep_idle_s_max: 600,
            keep_histories_max: 10_000,
            reap_interval_ms: 1000,
            catalog_resync_interval_s: 60,
            evict_grace_ms_max: 5000,
            kill_wait_ms_max: 5000,
        }
    }
}

impl Config {
    /// The same limits, with `machine_mb` in place of a memory limit of 0.
    #[must_use]
    pub fn or_machine_memory(self, machine_mb: u64) -> Self {
        let memory_mb_max = if self.memory_mb_max == 0 { machine_mb } else { self.memory_mb_max };
        Self { memory_mb_max, ..self }
    }

    pub(crate) fn wait_max(&self) -> Duration {
        Duration::from_millis(self.wait_ms_max)
    }

    pub(crate) fn start_pauses(&self) -> Pauses {
        let min = Duration::from_millis(self.start_backoff_ms_min);
        Pauses { min, max: Duration::from_millis(self.start_backoff_ms_max).max(min) }
    }

    /// Starts of one version that may run at the same time.
    pub(crate) fn starts_parallel_share(&self) -> usize {
        let percent = u64::from(self.starts_share_percent_max.clamp(1, 100));
        let share = (u64::from(self.starts_parallel_max) * percent).div_ceil(100);
        usize::try_from(share.max(1)).unwrap_or(usize::MAX)
    }

    pub(crate) fn start_hold_max(&self) -> Duration {
        Duration::from_millis(self.start_hold_ms_max)
    }

    pub(crate) fn evict_grace_max(&self) -> Duration {
        Duration::from_millis(self.evict_grace_ms_max)
    }

    /// `None` when instances are not frozen.
    pub(crate) fn freeze_after(&self) -> Option<Duration> {
        (self.freeze_after_ms > 0).then(|| Duration::from_millis(self.freeze_after_ms))
    }

    pub(crate) fn keep_alive_policy(&self) -> KeepAlivePolicy {
        KeepAlivePolicy {
            cold_start: Duration::from_secs(self.keep_idle_s),
            keep_min: Duration::from_secs(self.keep_idle_s_min.min(self.keep_idle_s)),
            keep_max: Duration::from_secs(self.keep_idle_s_max.max(self.keep_idle_s)),
        }
    }

    pub(crate) fn reap_interval(&self) -> Duration {
        // An interval of zero would panic; a millisecond is as good as continuous.
        Duration::from_millis(self.reap_interval_ms.max(1))
    }

    pub(crate) fn catalog_resync_interval(&self) -> Duration {
        Duration::from_secs(self.catalog_resync_interval_s.max(1))
    }
}
