//! What the pool tells of itself: what is used, and how far instances that are kept ready have
//! come.

use types::{FunctionKey, VersionName};

/// What one function uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUsage {
    /// The function.
    pub function: FunctionKey,
    /// Its instances, those that start or end included.
    pub instances: u32,
    /// Their memory sizes together, in MB.
    pub memory_mb: u64,
    /// Requests that wait for an instance.
    pub waiting: u32,
}

/// What is used now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Instances of all functions, those that start or end included.
    pub instances: u32,
    /// Their memory sizes together, in MB.
    pub memory_mb: u64,
    /// The limit of the latter, in MB: the quota of the installation; 0 when there is none.
    pub memory_mb_max: u64,
    /// The most that the quota may be, in MB: the limit of the configuration; 0 when there is none.
    pub memory_mb_configured: u64,
    /// What of the limit belongs to single functions, in MB.
    pub reserved_mb: u64,
    /// Functions that have instances or waiting requests, in the order of their names.
    pub functions: Vec<FunctionUsage>,
    /// Versions that have instances kept ready, in the order of their functions' names and their
    /// numbers.
    pub provisioned: Vec<ProvisionedState>,
}

/// How far the instances of a version that are kept ready have come.
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
    /// Whether they are all there.
    pub status: ProvisionedStatus,
    /// Why they are not, when something is in the way.
    pub reason: Option<String>,
}

/// Whether all instances that shall be kept ready are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisionedStatus {
    /// Some are still being started.
    InProgress,
    /// All are there.
    Done,
    /// Some could not be started; it is tried again with growing pauses.
    Failed,
}
