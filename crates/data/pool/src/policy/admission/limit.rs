//! The limit that refused a start, with a message that its reader can act on.

use std::fmt;

use types::RunStatus;

/// The limit that refused a start; displayed after "concurrency exceeded". The messages about
/// quotas are the contract's (4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitExceeded {
    /// Memory sizes of all instances of functions without a quota of their own, in MB.
    Memory {
        /// The limit.
        max_mb: u64,
    },
    /// Memory sizes of the function's instances, in MB: its reserved quota.
    Reserved {
        /// The limit.
        max_mb: u64,
    },
    /// Instances of all functions.
    Instances {
        /// The limit.
        max: u32,
    },
    /// Instances of the function.
    FunctionInstances {
        /// The limit.
        max: u32,
    },
    /// Instances started within a minute.
    StartsPerMinute {
        /// The limit.
        max: u32,
    },
    /// The function's share of the instances started within a minute.
    StartShare {
        /// The limit of all functions.
        max: u32,
    },
}

impl LimitExceeded {
    /// The status of the invocation.
    pub fn status(self) -> RunStatus {
        match self {
            Self::StartsPerMinute { .. } | Self::StartShare { .. } => RunStatus::ResourceLimit,
            _ => RunStatus::ResourceLimitReached,
        }
    }

    /// Whether it is a quota of memory.
    pub(crate) fn is_quota(self) -> bool {
        matches!(self, Self::Memory { .. } | Self::Reserved { .. })
    }

    /// Whether it counts starts.
    pub(crate) fn is_of_starts(self) -> bool {
        matches!(self, Self::StartsPerMinute { .. } | Self::StartShare { .. })
    }

    /// Whether usage by other functions can exceed it.
    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Self::Memory { .. } | Self::Instances { .. })
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { max_mb } => write!(
                f,
                "region unreserved quota {max_mb} MB; lower the load or the memory sizes, or raise the quota of the \
                 installation (`sampan quota --total`, at most [pool] memory_mb_max)"
            ),
            Self::Reserved { max_mb: 0 } => {
                write!(f, "reserved quota 0 MB; this stops the function: reserve more for it or delete the reservation")
            }
            Self::Reserved { max_mb } => write!(
                f,
                "reserved quota {max_mb} MB; lower the load or the memory size, or reserve more for the function"
            ),
            Self::Instances { max } => {
                write!(f, "the limit of {max} instances of all functions; lower the load or raise [pool] instances_max")
            }
            Self::FunctionInstances { max } => {
                write!(f, "its limit of {max} instances; lower the load or raise [pool] instances_per_function_max")
            }
            Self::StartsPerMinute { max } => write!(
                f,
                "the limit of {max} new instances a minute; call again a little later or raise [pool] \
                 starts_per_minute_max"
            ),
            Self::StartShare { max } => write!(
                f,
                "its share of the {max} new instances a minute that all functions have; call again a little later or raise \
                 [pool] starts_per_minute_max or starts_share_percent_max"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_read_as_the_contract_writes_them() {
        let shared = LimitExceeded::Memory { max_mb: 512 };
        assert!(shared.to_string().starts_with("region unreserved quota 512 MB"), "{shared}");
        for max_mb in [0, 256] {
            let own = LimitExceeded::Reserved { max_mb };
            assert!(own.to_string().starts_with(&format!("reserved quota {max_mb} MB")), "{own}");
            assert_eq!(own.status().code(), 432);
        }
        for limit in [LimitExceeded::StartsPerMinute { max: 500 }, LimitExceeded::StartShare { max: 500 }] {
            assert_eq!(limit.status().code(), 429);
        }
    }
}
