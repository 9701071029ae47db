//! Slots: a network namespace and a user namespace with a range of host ids, made ahead of the start that takes them.
//!
//! A network namespace serves one instance and goes with it; ids and their namespace serve the next one when it is gone.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use sys::Stack;

use crate::config::Config;
use crate::error::Error;

/// What an instance gets of its own.
pub struct Slot {
    /// Network namespace, its loopback up.
    pub network: Arc<OwnedFd>,
    /// Ids, until the instance is gone.
    pub ids: Ids,
}

/// A range of host ids and the user namespace that maps it. Namespaces are kept for the next instance with these ids:
/// nothing in one outlives its processes, and to make one takes a child.
struct Range {
    first_id: u32,
    namespace: Arc<OwnedFd>,
}

/// A range in use; free again when dropped.
pub struct Ids {
    range: Option<Range>,
    slots: Arc<Slots>,
}

impl Ids {
    fn range(&self) -> &Range {
        self.range.as_ref().expect("taken on drop only")
    }

    /// First host id: the instance's root.
    pub fn first_id(&self) -> u32 {
        self.range().first_id
    }

    /// User namespace.
    pub fn namespace(&self) -> &Arc<OwnedFd> {
        &self.range().namespace
    }
}

impl Drop for Ids {
    fn drop(&mut self) {
        self.slots.state.lock().free.extend(self.range.take());
        self.slots.wanted.notify_one();
    }
}

struct State {
    /// Ranges that were used and are free again, the longest free first.
    free: VecDeque<Range>,
    /// Ranges from here on were never used.
    next: u32,
    ready: VecDeque<Slot>,
    stopping: bool,
}

/// All slots.
pub struct Slots {
    config: Config,
    home: OwnedFd,
    state: Mutex<State>,
    wanted: Condvar,
}

impl Slots {
    /// An empty pool; `refill` fills it.
    pub fn new(config: Config, home: OwnedFd) -> Arc<Self> {
        let state = State { free: VecDeque::new(), next: 0, ready: VecDeque::new(), stopping: false };
        Arc::new(Self { config, home, state: Mutex::new(state), wanted: Condvar::new() })
    }

    /// Takes a ready slot, or makes one when demand outran the refilling.
    pub fn take(self: &Arc<Self>, stack: &mut Stack) -> Result<Slot, Error> {
        let ready = self.state.lock().ready.pop_front();
        self.wanted.notify_one();
        match ready {
            Some(slot) => Ok(slot),
            None => self.make(stack),
        }
    }

    /// Keeps the pool filled until [`Self::stop`]; runs on a thread of its own.
    pub fn refill(self: &Arc<Self>) {
        let mut stack = match Stack::new() {
            Ok(stack) => stack,
            Err(error) => return tracing::error!(%error, "namespaces are not made ahead: no stack"),
        };
        loop {
            {
                let mut state = self.state.lock();
                while !state.stopping && state.ready.len() >= self.config.slots_ready {
                    self.wanted.wait(&mut state);
                }
                if state.stopping {
                    return;
                }
            }
            match self.make(&mut stack) {
                Ok(slot) => self.state.lock().ready.push_back(slot),
                Err(error) => {
                    // A start that finds nothing ready reports the same error to its caller; here it is only put off.
                    tracing::debug!(%error, "no namespace could be made ahead");
                    let mut state = self.state.lock();
                    if !state.stopping {
                        // Until an instance goes, or a start asks.
                        self.wanted.wait(&mut state);
                    }
                }
            }
        }
    }

    /// Ends the refilling and lets go of what is ready.
    pub fn stop(&self) {
        let ready = {
            let mut state = self.state.lock();
            state.stopping = true;
            std::mem::take(&mut state.ready)
        };
        // Ranges return to the state as slots are dropped, so not under its lock.
        drop(ready);
        self.wanted.notify_all();
    }

    fn make(self: &Arc<Self>, stack: &mut Stack) -> Result<Slot, Error> {
        let ids = self.ids(stack)?;
        let network = sys::namespace::new_network(self.home.as_fd(), || {
            // The namespace belongs to the host's user namespace, so that root inside cannot change it; ports below 1024
            // are open to everyone in it instead.
            std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
        })
        .map_err(|source| Error::Namespace { kind: "network", source })?;
        Ok(Slot { network: Arc::new(network), ids })
    }

    fn ids(self: &Arc<Self>, stack: &mut Stack) -> Result<Ids, Error> {
        let index = {
            let mut state = self.state.lock();
            if let Some(range) = state.free.pop_front() {
                return Ok(Ids { range: Some(range), slots: self.clone() });
            }
            if state.next == self.config.instances_max {
                return Err(Error::InstancesExhausted { instances_max: self.config.instances_max });
            }
            state.next += 1;
            state.next - 1
        };
        let (base, count) = (self.config.id_base, self.config.ids_per_instance);
        let first_id = base + index * count;
        match sys::namespace::new_user(first_id, count, stack) {
            Ok(namespace) => {
                let range = Range { first_id, namespace: Arc::new(namespace) };
                Ok(Ids { range: Some(range), slots: self.clone() })
            }
            Err(source) => {
                let mut state = self.state.lock();
                // Nobody took a later one meanwhile: this one is the next again. Else it stays unused until a restart.
                if state.next == index + 1 {
                    state.next = index;
                }
                Err(Error::Namespace { kind: "user", source })
            }
        }
    }
}
