//! Limits of triggers, as the `[triggers]` table of the configuration has them.

use schedule::Zone;
use serde::{Deserialize, Serialize};

/// The `[triggers]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Zone of the schedules of timers that do not name one: an offset such as `+08:00`, or a name
    /// of the IANA database such as `Europe/Berlin`.
    pub timer_zone: Zone,
    /// Characters of the name of a trigger.
    pub name_len_max: usize,
    /// Bytes of a trigger's `TriggerDesc`.
    pub desc_bytes_max: usize,
    /// Bytes of a trigger's `CustomArgument`.
    pub custom_argument_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timer_zone: Zone::china(),
            name_len_max: 100,
            desc_bytes_max: 16 << 10,
            custom_argument_bytes_max: 4 << 10,
        }
    }
}
