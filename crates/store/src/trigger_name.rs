//! The key of a trigger within a function.

use std::fmt;
use std::sync::Arc;

use types::{Qualifier, Trigger};

use crate::record::FunctionWithVersions;

/// The key of a trigger within a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerName {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version or alias.
    pub qualifier: Qualifier,
}

impl fmt::Display for TriggerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} trigger {} for {}", self.kind, self.name, self.qualifier)
    }
}

impl TriggerName {
    pub(crate) fn find(&self, function: &FunctionWithVersions) -> Option<Arc<Trigger>> {
        let named = |trigger: &&Arc<Trigger>| {
            trigger.kind == self.kind && trigger.name == self.name && trigger.qualifier == self.qualifier
        };
        function.triggers.iter().find(named).cloned()
    }
}
