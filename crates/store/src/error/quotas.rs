//! Errors of quotas, and of what is reserved and provisioned within them.

use types::{FunctionKey, VersionName};

/// A memory size that its quota does not allow.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// More memory than the quota would hold.
    #[error(
        "instances of version {version} of function {key} cannot take {wanted_mb} MB: {room_mb} MB are left of {}",
        if *.reserved { "what is reserved for the function; provision fewer or reserve more" }
        else { "what functions without a quota of their own share; provision fewer or raise the quota" }
    )]
    ProvisionedTooMuch {
        /// The function.
        key: FunctionKey,
        /// The version.
        version: VersionName,
        /// The requested value, in MB.
        wanted_mb: u64,
        /// The available memory, in MB.
        room_mb: u64,
        /// The function has a quota of its own.
        reserved: bool,
    },
    /// The others would share too little.
    #[error(
        "function {key} cannot have {wanted_mb} MB of its own: {free_mb} MB of the installation's quota may be \
         reserved; reserve less, take another function's reservation back, or raise the quota"
    )]
    ReservedTooMuch {
        /// The function.
        key: FunctionKey,
        /// The requested memory, in MB.
        wanted_mb: u64,
        /// The available memory, in MB.
        free_mb: u64,
    },
    /// More than the machine was said to give.
    #[error(
        "a quota of {quota_mb} MB is more than the {quota_mb_max} MB of the configuration; raise [pool] memory_mb_max"
    )]
    TooLarge {
        /// The requested value.
        quota_mb: u64,
        /// The limit.
        quota_mb_max: u64,
    },
    /// It would not hold what is reserved and what all share.
    #[error(
        "a quota of {quota_mb} MB is too small: {reserved_mb} MB belong to functions, and beside them a tenth of the \
         quota or [store] shared_mb_min must be left for all others; take reservations back first"
    )]
    TooSmall {
        /// The requested value.
        quota_mb: u64,
        /// Reservations of all functions.
        reserved_mb: u64,
    },
}
