//! A limit with the name of its setting: every "too large" error names the setting to raise.

use std::fmt;

/// A limit in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// 0 is no limit, where the setting allows that.
    pub bytes_max: u64,
    /// The setting.
    pub setting: &'static str,
}

impl Limit {
    /// A limit of the `[invoke]` table; `setting` is its full name.
    pub fn new(setting: &'static str, bytes_max: u64) -> Self {
        Self { bytes_max, setting }
    }

    /// Whether this number of bytes exceeds the limit.
    pub fn is_exceeded_by(&self, bytes: u64) -> bool {
        self.bytes_max != 0 && bytes > self.bytes_max
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit of {} bytes (setting {})", self.bytes_max, self.setting)
    }
}
