//! Whether an instance may be started: what is used of the installation's and of each function's limits.
//!
//! Pure bookkeeping. What ends counts as used until it has ended, because its memory is.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use types::{FunctionId, FunctionKey, VersionKey};

use crate::config::Config;
use crate::usage::{FunctionUsage, Usage};

/// The limit that stands in the way of a start; reads on after "concurrency exceeded".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Memory sizes of all instances together, in MB.
    Memory {
        /// The limit.
        max_mb: u64,
    },
    /// Instances of all functions.
    Instances {
        /// The limit.
        max: u32,
    },
    /// Instances of the function.
    FunctionInstances {
        /// The limit.
        max: u32,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { max_mb } => write!(
                f,
                "region unreserved quota {max_mb} MB; lower the load or the memory sizes, or raise [pool] memory_mb_max"
            ),
            Self::Instances { max } => {
                write!(f, "the limit of {max} instances of all functions; lower the load or raise [pool] instances_max")
            }
            Self::FunctionInstances { max } => {
                write!(f, "its limit of {max} instances; lower the load or raise [pool] instances_per_function_max")
            }
        }
    }
}

/// Instances and their memory sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub instances: u32,
    pub memory_mb: u64,
}

impl Load {
    pub fn one(memory_mb: u32) -> Self {
        Self { instances: 1, memory_mb: u64::from(memory_mb) }
    }

    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    pub fn add(&mut self, other: Self) {
        self.instances += other.instances;
        self.memory_mb += other.memory_mb;
    }

    pub fn take(&mut self, other: Self) {
        self.instances -= other.instances;
        self.memory_mb -= other.memory_mb;
    }

    pub fn less(self, other: Self) -> Self {
        Self {
            instances: self.instances.saturating_sub(other.instances),
            memory_mb: self.memory_mb.saturating_sub(other.memory_mb),
        }
    }
}

#[derive(Debug)]
struct Share {
    key: FunctionKey,
    used: Load,
    ending: Load,
    waiting: u32,
}

/// What must end before a start fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// How much, beside what ends already.
    pub load: Load,
    /// Only instances of the same function help.
    pub same_function: bool,
}

/// What is used; see the module.
#[derive(Debug)]
pub(crate) struct Capacity {
    instances_max: u32,
    memory_mb_max: u64,
    instances_per_function_max: u32,
    waiting_per_function_max: u32,
    used: Load,
    ending: Load,
    functions: HashMap<FunctionId, Share>,
    /// Versions whose waiters need a start that was refused; each once.
    starved: VecDeque<VersionKey>,
}

impl Capacity {
    pub fn new(config: &Config) -> Self {
        Self {
            instances_max: config.instances_max,
            memory_mb_max: if config.memory_mb_max == 0 { u64::MAX } else { config.memory_mb_max },
            instances_per_function_max: config.instances_per_function_max,
            waiting_per_function_max: config.waiting_per_function_max,
            used: Load::default(),
            ending: Load::default(),
            functions: HashMap::new(),
            starved: VecDeque::new(),
        }
    }

    fn share(&mut self, id: &FunctionId, key: &FunctionKey) -> &mut Share {
        self.functions.entry(id.clone()).or_insert_with(|| Share {
            key: key.clone(),
            used: Load::default(),
            ending: Load::default(),
            waiting: 0,
        })
    }

    fn forget_unused(&mut self, id: &FunctionId) {
        if self.functions.get(id).is_some_and(|share| share.used.is_zero() && share.waiting == 0) {
            self.functions.remove(id);
        }
    }

    /// Takes room for one instance.
    pub fn reserve(&mut self, id: &FunctionId, key: &FunctionKey, memory_mb: u32) -> Result<(), Refusal> {
        let need = Load::one(memory_mb);
        let used = self.functions.get(id).map_or(0, |share| share.used.instances);
        if used >= self.instances_per_function_max {
            return Err(Refusal::FunctionInstances { max: self.instances_per_function_max });
        }
        if self.used.instances >= self.instances_max {
            return Err(Refusal::Instances { max: self.instances_max });
        }
        if self.used.memory_mb.saturating_add(need.memory_mb) > self.memory_mb_max {
            return Err(Refusal::Memory { max_mb: self.memory_mb_max });
        }
        self.used.add(need);
        self.share(id, key).used.add(need);
        Ok(())
    }

    /// What would have to end, beside what ends already, before one more instance fits.
    pub fn shortfall(&self, id: &FunctionId, memory_mb: u32) -> Shortfall {
        let need = Load::one(memory_mb);
        let (used, ending) = self.functions.get(id).map_or((0, 0), |s| (s.used.instances, s.ending.instances));
        if used - ending >= self.instances_per_function_max {
            let over = used - ending + 1 - self.instances_per_function_max;
            return Shortfall { load: Load { instances: over, memory_mb: 0 }, same_function: true };
        }
        let mut after = self.used;
        after.add(need);
        let max = Load { instances: self.instances_max, memory_mb: self.memory_mb_max };
        Shortfall { load: after.less(self.ending).less(max), same_function: false }
    }

    /// An instance was told to end.
    pub fn ending(&mut self, id: &FunctionId, memory_mb: u32) {
        let load = Load::one(memory_mb);
        self.ending.add(load);
        if let Some(share) = self.functions.get_mut(id) {
            share.ending.add(load);
        }
    }

    /// An instance has ended, or its start failed; `told` when [`Capacity::ending`] was called for it.
    pub fn release(&mut self, id: &FunctionId, memory_mb: u32, told: bool) {
        let load = Load::one(memory_mb);
        self.used.take(load);
        if told {
            self.ending.take(load);
        }
        if let Some(share) = self.functions.get_mut(id) {
            share.used.take(load);
            if told {
                share.ending.take(load);
            }
        }
        self.forget_unused(id);
    }

    /// Counts a waiting request; the limit when as many wait as may.
    pub fn begin_wait(&mut self, id: &FunctionId, key: &FunctionKey) -> Result<(), u32> {
        let max = self.waiting_per_function_max;
        let share = self.share(id, key);
        let fits = share.waiting < max;
        if fits {
            share.waiting += 1;
        }
        self.forget_unused(id);
        if fits { Ok(()) } else { Err(max) }
    }

    /// A waiting request waits no more.
    pub fn end_wait(&mut self, id: &FunctionId) {
        if let Some(share) = self.functions.get_mut(id) {
            share.waiting -= 1;
        }
        self.forget_unused(id);
    }

    /// Whether the function has any instance, one that starts or ends included.
    pub fn has_instances(&self, id: &FunctionId) -> bool {
        self.functions.get(id).is_some_and(|share| share.used.instances > 0)
    }

    /// Remembers that waiters of a version were refused a start.
    pub fn starve(&mut self, version: &VersionKey) {
        if !self.starved.contains(version) {
            self.starved.push_back(version.clone());
        }
    }

    /// The versions to try again, those refused first at the front.
    pub fn take_starved(&mut self) -> VecDeque<VersionKey> {
        std::mem::take(&mut self.starved)
    }

    pub fn usage(&self) -> Usage {
        let mut functions: Vec<FunctionUsage> = self
            .functions
            .values()
            .map(|share| FunctionUsage {
                function: share.key.clone(),
                instances: share.used.instances,
                memory_mb: share.used.memory_mb,
                waiting: share.waiting,
            })
            .collect();
        functions.sort_by(|a, b| a.function.cmp(&b.function));
        Usage {
            instances: self.used.instances,
            memory_mb: self.used.memory_mb,
            memory_mb_max: if self.memory_mb_max == u64::MAX { 0 } else { self.memory_mb_max },
            reserved_mb: 0,
            functions,
            provisioned: Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "scale_tests.rs"]
mod tests;
