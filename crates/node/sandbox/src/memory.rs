//! Looks at the memory of instances that run, on a thread of its own, so that a request reads what
//! is known. Frozen instances are left alone: what they use does not change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::cgroup::CgroupState;

/// An instance whose memory is looked at while it runs.
pub struct Metered {
    cgroup: Arc<RwLock<CgroupState>>,
    awake: AtomicBool,
    /// Among those that are looked at.
    listed: AtomicBool,
}

/// All of them.
pub struct Meter {
    listed: Mutex<Vec<Weak<Metered>>>,
    stopping: Mutex<bool>,
    stopped: Condvar,
    look_interval: Duration,
    sample_interval: Duration,
}

impl Metered {
    /// An instance in a cgroup; not looked at before [`Meter::wake`].
    pub fn new(cgroup: Arc<RwLock<CgroupState>>) -> Arc<Self> {
        Arc::new(Self { cgroup, awake: AtomicBool::new(false), listed: AtomicBool::new(false) })
    }

    /// It is frozen.
    pub fn sleep(&self) {
        self.awake.store(false, Ordering::Release);
    }

    /// Looks, or leaves the list.
    fn look(&self, sample: bool) -> bool {
        if !self.awake.load(Ordering::Acquire) {
            self.listed.store(false, Ordering::Release);
            // Woken between the two, it found itself listed still.
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
    /// Looks whether memory has grown, and samples it whether or not, this often.
    pub fn new(look_interval: Duration, sample_interval: Duration) -> Self {
        Self {
            listed: Mutex::default(),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
            look_interval,
            sample_interval,
        }
    }

    /// Has an instance looked at until it sleeps or ends.
    pub fn wake(&self, instance: &Arc<Metered>) {
        instance.awake.store(true, Ordering::Release);
        if !instance.listed.swap(true, Ordering::AcqRel) {
            self.listed.lock().push(Arc::downgrade(instance));
        }
    }

    /// Looks until [`Self::stop`]; runs on a thread of its own.
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
            // Nobody wakes this thread: where nothing runs, it looks for what does once in a while.
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

    /// Ends the looking.
    pub fn stop(&self) {
        *self.stopping.lock() = true;
        self.stopped.notify_all();
    }
}
