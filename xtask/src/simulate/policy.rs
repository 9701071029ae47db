//! Keep-alive policies: the platform's own, implemented by its own code, and those of other
//! systems.

/// How long instances are kept, and whether they are prewarmed.
#[derive(Debug, Clone)]
pub enum Policy {
    /// The platform's policy, decided by the pool's own state.
    Sampan(Box<pool::Config>),
    /// A fixed keep-alive time, in seconds.
    Fixed(f64),
    /// Knative's autoscaler, as far as it decides when an instance ends: the number of instances
    /// follows the average of requests over a stable window, so an idle instance ends when the
    /// window contains none of its requests. A request that finds no instance causes a panic, which
    /// holds the number for a panic window longer.
    Windows {
        /// Length of the stable window, in seconds.
        stable_s: f64,
        /// Length of the panic window, in seconds.
        panic_s: f64,
    },
}

impl Policy {
    /// The platform's policy where one cold start costs as much as this many seconds of an idle
    /// instance.
    pub fn sampan(keep_idle_s: u64) -> Self {
        let (keep_idle_s_min, keep_idle_s_max) = (10, 4 * 3600);
        let config = pool::Config { keep_idle_s, keep_idle_s_min, keep_idle_s_max, ..pool::Config::default() };
        Self::Sampan(Box::new(config))
    }
}
