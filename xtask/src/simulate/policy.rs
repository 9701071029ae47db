//! Policies that say how long an idle instance is kept: the platform's own, by its own code, and what others do.

use std::time::Duration;

use pool::{Experience, Worth};

/// How long instances are kept.
#[derive(Debug, Clone)]
pub enum Policy {
    /// The platform's.
    Sampan {
        /// What was found so far.
        experience: Experience,
        /// What instances and cold starts are measured by.
        worth: Worth,
    },
    /// Always so long, in seconds.
    Fixed(f64),
    /// Knative's autoscaler, as far as it decides when an instance goes: the number of instances follows the average of
    /// requests over a stable window, so that one that serves nobody goes when the window holds none of its requests any
    /// more; a panic, which any request to no instance is, holds the number for a panic window longer.
    Windows {
        /// Seconds of the stable window.
        stable_s: f64,
        /// Seconds of the panic window.
        panic_s: f64,
    },
}

impl Policy {
    /// Seconds for which an instance that has just become idle is kept.
    pub fn keep_s(&self) -> f64 {
        match self {
            Self::Sampan { experience, worth } => experience.keep_for(*worth).as_secs_f64(),
            Self::Fixed(seconds) => *seconds,
            Self::Windows { stable_s, panic_s } => stable_s + panic_s,
        }
    }

    /// An instance was idle for so long before a request came that it served, or would have.
    pub fn idle_for(&mut self, seconds: f64) {
        if let Self::Sampan { experience, .. } = self {
            experience.idle_for(Duration::from_secs_f64(seconds.max(0.0)));
        }
    }
}
