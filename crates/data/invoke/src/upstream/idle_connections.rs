//! Idle connections, for as long as their server is likely to keep them open: not across a
//! suspension of the instance, after which its timers fire at once, and not after a long silence
//! (RFC 9112, 9.5), whose length is learned from the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use connections::WorkerId;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connection::Connection;

/// The idle connections of one instance, the most recently used at the end.
pub(crate) struct IdleConnections {
    list: Mutex<Vec<Idle>>,
    /// Whether the sweep has it in its list.
    swept: AtomicBool,
    /// Cloned by each connection.
    open: Arc<()>,
    /// Whether the server was observed to serve one connection at a time.
    only_one: AtomicBool,
    /// Microseconds for which connections are used idle: half the shortest idle time after which
    /// the server closed one or announced to do so.
    unused_us_max: AtomicU64,
}

/// A connection taken for a request, and the time that it was idle.
pub(crate) struct Taken {
    pub connection: Connection,
    pub idle: Duration,
}

impl Default for IdleConnections {
    fn default() -> Self {
        Self {
            list: Mutex::default(),
            swept: AtomicBool::new(false),
            open: Arc::default(),
            only_one: AtomicBool::new(false),
            unused_us_max: AtomicU64::new(u64::MAX),
        }
    }
}

struct Idle {
    connection: Connection,
    /// The worker whose runtime polls it.
    worker: WorkerId,
    since: Instant,
    /// The instance's suspensions when it became idle.
    suspensions: u64,
}

impl IdleConnections {
    /// Takes the most recently used connection that is still open: younger than `unused_max`, of an
    /// instance that was suspended `suspensions` times, and not closed by its server. Those of
    /// other workers are left to them while the instance may have more connections than it has: one
    /// for each of its `concurrency` requests.
    pub fn take(&self, suspensions: u64, unused_max: Duration, concurrency: u32) -> Option<Taken> {
        let now = Instant::now();
        let any = self.only_one.load(Ordering::Relaxed) || self.open() >= concurrency as usize;
        loop {
            let found = self.next(WorkerId::current(), any)?;
            let idle = now.saturating_duration_since(found.since);
            let learned = Duration::from_micros(self.unused_us_max.load(Ordering::Relaxed));
            if idle >= unused_max.min(learned) || found.suspensions != suspensions {
                continue;
            }
            if !found.connection.is_open() {
                self.closed_after(idle);
            } else if found.connection.move_here().is_ok() {
                return Some(Taken { connection: found.connection, idle });
            }
        }
    }

    /// Records that the server closes connections after this idle time. Half of it is used from
    /// then on, because a request that crosses the close is lost.
    pub fn closed_after(&self, idle: Duration) {
        let half = u64::try_from((idle / 2).as_micros()).unwrap_or(u64::MAX);
        self.unused_us_max.fetch_min(half, Ordering::Relaxed);
    }

    /// Counts a connection as open while it holds the result.
    pub fn count(&self) -> Arc<()> {
        Arc::clone(&self.open)
    }

    fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    fn next(&self, here: WorkerId, any: bool) -> Option<Idle> {
        let mut list = self.list.lock();
        match list.iter().rposition(|idle| idle.worker == here) {
            Some(at) => Some(list.remove(at)),
            None if any => list.pop(),
            None => None,
        }
    }

    /// Records that the server reads from one connection only when the others are closed.
    pub fn serves_only_one(&self) {
        self.only_one.store(true, Ordering::Relaxed);
    }

    /// Adds a connection, unless its server announced that it keeps none.
    pub fn put(&self, connection: Connection, suspensions: u64) {
        if let Some(announced) = connection.announced {
            self.closed_after(announced);
            if announced.is_zero() {
                return;
            }
        }
        let worker = connection.worker();
        self.list.lock().push(Idle { connection, worker, since: Instant::now(), suspensions });
    }

    /// Closes all of them; returns whether there were any.
    pub fn close_idle(&self) -> bool {
        let idle = std::mem::take(&mut *self.list.lock());
        !idle.is_empty()
    }

    /// Closes those unused for `unused_max`; returns whether some are left.
    fn close_unused(&self, now: Instant, unused_max: Duration) -> bool {
        let mut list = self.list.lock();
        let first_young = list.partition_point(|idle| now.saturating_duration_since(idle.since) >= unused_max);
        let unused: Vec<Idle> = list.drain(..first_young).collect();
        let left = !list.is_empty();
        drop(list);
        drop(unused);
        left
    }
}

/// Closes connections that were idle for too long, so that a server that serves one connection at a
/// time is free for another.
#[derive(Default)]
pub(crate) struct IdleSweep(Mutex<Vec<Weak<IdleConnections>>>);

impl IdleSweep {
    /// Sweeps an instance's connections until none is left.
    pub fn watch(&self, connections: &Arc<IdleConnections>) {
        if !connections.swept.swap(true, Ordering::AcqRel) {
            self.0.lock().push(Arc::downgrade(connections));
        }
    }

    /// Sweeps until the future is dropped.
    pub async fn run(&self, unused_max: Duration) {
        let mut ticks = interval((unused_max / 2).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            let watched = std::mem::take(&mut *self.0.lock());
            for connections in watched.iter().filter_map(Weak::upgrade) {
                // First, so that a connection that is added from here on is watched again.
                connections.swept.store(false, Ordering::Release);
                if connections.close_unused(now, unused_max) {
                    self.watch(&connections);
                }
            }
        }
    }
}
