//! Connections that are kept between requests, for as long as their server can be believed to keep them as well: not across
//! a suspension of the instance, after which its timers fire at once, and not after a silence (RFC 9112, 9.5).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::connection::Connection;

/// The idle connections of one instance, the one used last at the end.
#[derive(Default)]
pub(crate) struct KeptConnections {
    list: Mutex<Vec<Kept>>,
    /// The sweep looks at it.
    swept: AtomicBool,
}

struct Kept {
    connection: Connection,
    since: Instant,
    /// Of the instance, when it was kept.
    suspensions: u64,
}

impl KeptConnections {
    /// The connection used last that still stands: one that is younger than `unused_max`, of an instance that was
    /// suspended `suspensions` times, and that its server has not closed.
    pub fn take(&self, suspensions: u64, unused_max: Duration) -> Option<Connection> {
        let now = Instant::now();
        loop {
            let kept = self.list.lock().pop()?;
            let young = now.saturating_duration_since(kept.since) < unused_max;
            if young && kept.suspensions == suspensions && kept.connection.stands() {
                return Some(kept.connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub fn keep(&self, connection: Connection, suspensions: u64) {
        self.list.lock().push(Kept { connection, since: Instant::now(), suspensions });
    }

    /// Closes all of them.
    pub fn close_idle(&self) {
        let idle = std::mem::take(&mut *self.list.lock());
        drop(idle);
    }

    /// Closes what was unused for `unused_max`; true when some are left.
    fn close_unused(&self, now: Instant, unused_max: Duration) -> bool {
        let mut list = self.list.lock();
        let first_young = list.partition_point(|kept| now.saturating_duration_since(kept.since) >= unused_max);
        let unused: Vec<Kept> = list.drain(..first_young).collect();
        let left = !list.is_empty();
        drop(list);
        drop(unused);
        left
    }
}

/// Closes connections that are not used, so that a server which serves one connection at a time is free for another.
#[derive(Default)]
pub(crate) struct Sweep(Mutex<Vec<Weak<KeptConnections>>>);

impl Sweep {
    /// Looks at an instance's connections until none is left.
    pub fn watch(&self, connections: &Arc<KeptConnections>) {
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
                // First, so that what is kept from here on has it watched again.
                connections.swept.store(false, Ordering::Release);
                if connections.close_unused(now, unused_max) {
                    self.watch(&connections);
                }
            }
        }
    }
}
