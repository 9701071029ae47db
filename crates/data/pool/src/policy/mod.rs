//! The pool's decisions as pure functions of state and `now`; instances and requests are ids here.

pub(crate) mod admission;
pub(crate) mod affinity;
pub(crate) mod backoff;
pub(crate) mod deadlines;
pub(crate) mod eviction;
pub(crate) mod forecast;
pub(crate) mod history;
pub(crate) mod instance_table;
pub(crate) mod keep_alive;
pub(crate) mod provisioning;
pub(crate) mod queue;
