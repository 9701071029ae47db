//! Reported usage, and progress of provisioned instances.

use types::{FunctionKey, VersionName};

/// Usage of one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUsage {
    /// The function.
    pub function: FunctionKey,
    /// Its instances, including those that start or end.
    pub instances: u32,
    /// Their memory sizes together, in MB.
    pub memory_mb: u64,
    /// Requests that wait for an instance.
    pub waiting: u32,
}

/// Current usage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Instances of all functions, including those that start or end.
    pub instances: u32,
    /// Their memory sizes together, in MB.
    pub memory_mb: u64,
    /// The limit of the latter, in MB: the quota of the installation; 0 when there is none.
    pub memory_mb_max: u64,
    /// The most that the quota may be, in MB: the limit of the configuration; 0 when there is none.
    pub memory_mb_configured: u64,
    /// The part of the limit that is reserved for single functions, in MB.
    pub reserved_mb: u64,
    /// Functions that have instances or waiting requests, in the order of their names.
    pub functions: Vec<FunctionUsage>,
    /// Versions with provisioned instances, in the order of their functions' names and their
    /// numbers.
    pub provisioned: Vec<ProvisionedState>,
}

/// Progress of a version's provisioned instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionedState {
    /// The function.
    pub function: FunctionKey,
    /// The published version.
    pub version: VersionName,
    /// Memory size of one instance, in MB.
    pub memory_mb: u32,
    /// Instances wanted now, by the action in force, by the load, or as given.
    pub wanted: u32,
    /// Of these, instances that are started.
    pub ready: u32,
    /// Whether all of them are ready.
    pub status: ProvisionedStatus,
    /// Why they are not, when a start failed or was refused.
    pub reason: Option<String>,
}

/// Progress of provisioned instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisionedStatus {
    /// Some instances are still being started.
    InProgress,
    /// All instances are ready.
    Done,
    /// Some instances could not be started; retried with growing pauses.
    Failed,
}
