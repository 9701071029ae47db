//! How many connections instances may have at once. Pure.
//!
//! The kernel tracks connections of the whole machine in one table; when it is full, everybody's
//! new ones are dropped. So all instances together have a ceiling below it. Each instance has a few
//! beside that, which others' floods cannot take.

use crate::config::Config;
use crate::error::Error;

/// Parts that connections beyond the assured ones are counted in, by their source port: the kernel
/// walks the whole list of a count when a connection is added.
pub const SHARES: u32 = 256;
/// Connections that an instance has whatever the others do, at most.
const ASSURED_MAX: u32 = 64;

/// The limits as the packet rules have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one instance.
    pub per_instance: u32,
    /// Of these, those that count for no ceiling.
    pub assured: u32,
    /// Of all others together, in each of [`SHARES`] parts.
    pub per_share: u32,
}

impl Limits {
    /// On a machine that tracks `tracked_max` connections, for `links_max` instances.
    pub fn new(config: &Config, tracked_max: u32, links_max: u32) -> Result<Self, Error> {
        let total = match config.connections_total_max {
            0 => tracked_max / 2,
            total if total < tracked_max => total,
            total => {
                return Err(Error::BadConfig {
                    key: "connections_total_max",
                    value: total.to_string(),
                    reason: "it must be below what this machine tracks, net.netfilter.nf_conntrack_max",
                });
            }
        };
        // Half of what is left stays the machine's own.
        let assured = ((tracked_max - total) / 2 / links_max.max(1)).clamp(1, ASSURED_MAX);
        Ok(Self {
            per_instance: config.connections_max,
            assured: assured.min(config.connections_max),
            per_share: (total / SHARES).max(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_instances_together_leave_room_in_the_machines_table() {
        let limits = |connections_total_max, tracked_max, links_max| {
            let config = Config { connections_total_max, ..Config::default() };
            Limits::new(&config, tracked_max, links_max).map(|limits| (limits.assured, limits.per_share))
        };
        for (total, tracked_max, links_max, expected) in [
            (0, 262_144, 4093, (16, 512)),
            (0, 262_144, 1021, (64, 512)),
            (200_000, 262_144, 4093, (7, 781)),
            (0, 65_536, 4093, (4, 128)),
            (100, 262_144, 4093, (32, 1)),
        ] {
            let found = limits(total, tracked_max, links_max).expect("it fits");
            assert_eq!(found, expected, "{total} of {tracked_max} for {links_max}");
            assert!(found.0 * links_max + found.1 * SHARES < tracked_max, "{found:?}");
        }
        let error = limits(262_144, 262_144, 4093).expect_err("all of it").to_string();
        assert!(error.contains("connections_total_max") && error.contains("nf_conntrack_max"), "{error}");
    }
}
