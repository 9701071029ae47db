//! Samples the memory of running instances on a thread of its own, so that a request reads a cached
//! value. Frozen instances are skipped: their use does not change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::cgroup::CgroupState;

/// An instance whose memory is sampled while it runs.
pub struct Metered {
    cgroup: Arc<RwLock<CgroupState>>,
    awake: AtomicBool,
    /// Whether it is in the meter's list.
    listed: AtomicBool,
}

/// The sampled instances.
pub struct Meter {
    listed: Mutex<Vec<Weak<Metered>>>,
    stopping: Mutex<bool>,
    stopped: Condvar,
    look_interval: Duration,
    sample_interval: Duration,
}

impl Metered {
    /// An instance in a cgroup; not sampled before [`Meter::wake`].
    pub fn new(cgroup: Arc<RwLock<CgroupState>>) -> Arc<Self> {
        Arc::new(Self { cgroup, awake: AtomicBool::new(false), listed: AtomicBool::new(false) })
    }

    /// Stops the sampling of a frozen instance.
    pub fn sleep(&self) {
        self.awake.store(false, Ordering::Release);
    }

    /// Samples it, or removes it from the list.
    fn look(&self, sample: bool) -> bool {
        if !self.awake.load(Ordering::Acquire) {
            self.listed.store(false, Ordering::Release);
            // Woken between the two loads, it was still listed then.
            return self.awake.load(Ordering::Acquire) && !self.listed.swap(true, Ordering::AcqRel);
        }
        match &*self.cgroup.read() {
            CgroupState::There(cgroup) if sample => cgroup.sample_memory(),
            CgroupState::There(cgroup) => cgroup.look_at_memory(),
            CgroupState::Gone(_) => return false,
        }
        true
    }
}

impl Meter {
    /// Checks for growth at one interval, and samples without growth at the other.
    pub fn new(look_interval: Duration, sample_interval: Duration) -> Self {
        Self {
            listed: Mutex::default(),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
            look_interval,
            sample_interval,
        }
    }

    /// Samples an instance until it sleeps or ends.
    pub fn wake(&self, instance: &Arc<Metered>) {
        instance.awake.store(true, Ordering::Release);
        if !instance.listed.swap(true, Ordering::AcqRel) {
            self.listed.lock().push(Arc::downgrade(instance));
        }
    }

    /// Samples until [`Self::stop`]; runs on a thread of its own.
    pub fn run(&self) {
        let mut sampled = Instant::now();
        let mut pause = self.look_interval;
        while !self.stops_within(pause) {
            let sample = sampled.elapsed() >= self.sample_interval;
            if sample {
                sampled = Instant::now();
            }
            let looked_at = std::mem::take(&mut *self.listed.lock());
            let stay = |instance: &Weak<Metered>| instance.upgrade().is_some_and(|instance| instance.look(sample));
            let staying: Vec<_> = looked_at.into_iter().filter(stay).collect();
            // The thread is never notified: without running instances it checks for new ones at the
            // longer interval.
            pause = if staying.is_empty() { self.sample_interval } else { self.look_interval };
            self.listed.lock().extend(staying);
        }
    }

    fn stops_within(&self, pause: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        if !*stopping {
            self.stopped.wait_for(&mut stopping, pause);
        }
        *stopping
    }

    /// Stops the sampling.
    pub fn stop(&self) {
        *self.stopping.lock() = true;
        self.stopped.notify_all();
    }
}
