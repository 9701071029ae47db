//! Policies that say how many instances are there: the platform's own, by its own code, and what others do.

use std::time::Duration;

use pool::{Forecast, KeepAlive, KeepAlivePolicy};
use tokio::time::Instant;

/// How long instances are kept, and when they are started ahead.
#[derive(Debug, Clone)]
pub enum Policy {
    /// The platform's.
    Sampan {
        /// What calls need, by what was found so far.
        forecast: Box<Forecast>,
        /// What instances and cold starts are measured by.
        policy: KeepAlivePolicy,
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

/// A policy at work on one function, with the seconds of a trace for its clock.
pub struct Keeper {
    policy: Policy,
    start: Duration,
    zero: Instant,
}

impl Keeper {
    /// Of a function whose instances take `start` to be ready.
    pub fn new(policy: Policy, start: Duration) -> Self {
        Self { policy, start, zero: Instant::now() }
    }

    fn time(&self, at_s: f64) -> Instant {
        self.zero + Duration::from_secs_f64(at_s.max(0.0))
    }

    /// One more instance is in use.
    pub fn rise(&mut self, at_s: f64) {
        let (now, start) = (self.time(at_s), self.start);
        if let Policy::Sampan { forecast, policy } = &mut self.policy {
            forecast.rise(now, *policy, start);
        }
    }

    /// One less is.
    pub fn fall(&mut self, at_s: f64) {
        let now = self.time(at_s);
        if let Policy::Sampan { forecast, .. } = &mut self.policy {
            forecast.fall(now);
        }
    }

    /// What becomes of the instance that is in use when `level` are, once fewer are.
    pub fn plan(&self, level: usize) -> KeepAlive {
        match &self.policy {
            Policy::Sampan { forecast, policy } => forecast.plan(level, *policy, self.start),
            Policy::Fixed(seconds) => KeepAlive::For(Duration::from_secs_f64(*seconds)),
            Policy::Windows { stable_s, panic_s } => KeepAlive::For(Duration::from_secs_f64(stable_s + panic_s)),
        }
    }

    /// For how many seconds from now on an instance for `level` is to be there because the level below was just reached.
    pub fn ahead_s(&self, level: usize, at_s: f64) -> f64 {
        match &self.policy {
            Policy::Sampan { forecast, policy } if forecast.is_ahead(level, self.time(at_s), *policy, self.start) => {
                policy.keep_min.as_secs_f64()
            }
            _ => 0.0,
        }
    }
}
