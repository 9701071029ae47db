//! Policies that say how long instances are kept: the platform's own, by its own code, and what
//! others do.

/// How long instances are kept, and whether they are started ahead.
#[derive(Debug, Clone)]
pub enum Policy {
    /// The platform's: its own state decides.
    Sampan(Box<pool::Config>),
    /// Always so long, in seconds.
    Fixed(f64),
    /// Knative's autoscaler, as far as it decides when an instance goes: the number of instances
    /// follows the average of requests over a stable window, so that one that serves nobody goes
    /// when the window holds none of its requests any more; a panic, which any request to no
    /// instance is, holds the number for a panic window longer.
    Windows {
        /// Seconds of the stable window.
        stable_s: f64,
        /// Seconds of the panic window.
        panic_s: f64,
    },
}

impl Policy {
    /// The platform's where a cold start is worth so many seconds of an idle instance.
    pub fn sampan(keep_idle_s: u64) -> Self {
        let (keep_idle_s_min, keep_idle_s_max) = (10, 4 * 3600);
        let config = pool::Config { keep_idle_s, keep_idle_s_min, keep_idle_s_max, ..pool::Config::default() };
        Self::Sampan(Box::new(config))
    }
}
