//! The table of open connections: entries, capacity and eviction.

use std::any::Any;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::eviction::{Candidate, ClientNetwork, choose};
use crate::timeouts::ConnectionState;
use crate::workers::ServedSocket;

/// Connections chosen for eviction at one scan: a scan costs time linear in the table's length.
const CHOSEN_MAX: usize = 64;

/// Metrics of one table.
pub struct TableMetrics {
    /// Open connections.
    pub open: Gauge,
    /// Connections closed because their client timed out.
    pub dropped: Counter,
    /// Connections closed to make room for others.
    pub evicted: Counter,
}

/// The table; cheap to clone.
#[derive(Clone)]
pub struct Connections {
    inner: Arc<Inner>,
}

struct Inner {
    len_max: usize,
    table: Mutex<Table>,
    /// Signalled when an entry was removed.
    freed: Notify,
    metrics: TableMetrics,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    open: HashMap<u64, Entry>,
    /// Chosen for eviction, the next one last.
    chosen: Vec<u64>,
}

struct Entry {
    network: ClientNetwork,
    state: Arc<ConnectionState>,
    evict: Arc<Notify>,
}

impl Connections {
    /// A table of at most `len_max` connections, at least one.
    pub fn new(len_max: usize, metrics: TableMetrics) -> Self {
        let inner = Inner { len_max: len_max.max(1), table: Mutex::default(), freed: Notify::new(), metrics };
        Self { inner: Arc::new(inner) }
    }

    /// Metrics of the table.
    pub fn metrics(&self) -> &TableMetrics {
        &self.inner.metrics
    }

    /// Adds a connection as soon as there is room. A full table evicts an idle connection, or waits
    /// until one is idle or ends; it retries every `retry`.
    pub(crate) async fn enter(&self, address: IpAddr, retry: Duration) -> EntryGuard {
        loop {
            if let Some(entry) = self.try_enter(address) {
                return entry;
            }
            tokio::time::timeout(retry, self.inner.freed.notified()).await.ok();
        }
    }

    fn try_enter(&self, address: IpAddr) -> Option<EntryGuard> {
        let mut table = self.inner.table.lock();
        if table.open.len() >= self.inner.len_max {
            table.evict_one();
            return None;
        }
        table.last_id += 1;
        let (id, state, evict) = (table.last_id, ConnectionState::new(), Arc::new(Notify::new()));
        let entry = Entry { network: ClientNetwork::of(address), state: state.clone(), evict: evict.clone() };
        table.open.insert(id, entry);
        self.inner.metrics.open.increment(1.0);
        Some(EntryGuard { id, connections: self.clone(), state, evict, served: None, held: None })
    }
}

impl Table {
    /// Signals one connection to close. It ignores that if it has a request by then; the next
    /// attempt chooses another.
    fn evict_one(&mut self) {
        for rescan in [false, true] {
            if rescan {
                let candidates = self.open.iter().map(|(id, entry)| Candidate {
                    id: *id,
                    network: entry.network,
                    idle_ms: entry.state.idle_ms(),
                });
                self.chosen = choose(candidates, CHOSEN_MAX);
                self.chosen.reverse();
            }
            while let Some(id) = self.chosen.pop() {
                if let Some(entry) = self.open.get(&id).filter(|entry| entry.state.idle_ms().is_some()) {
                    entry.evict.notify_one();
                    return;
                }
            }
        }
    }
}

/// An entry of the table, removed when this is dropped.
pub(crate) struct EntryGuard {
    id: u64,
    connections: Connections,
    pub state: Arc<ConnectionState>,
    /// Signalled when the connection is chosen for eviction.
    pub evict: Arc<Notify>,
    /// Keeps the worker that serves the connection.
    pub served: Option<ServedSocket>,
    /// Dropped with the entry.
    pub held: Option<Box<dyn Any + Send + Sync>>,
}

impl EntryGuard {
    /// The table that holds the entry.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }
}

impl Drop for EntryGuard {
    fn drop(&mut self) {
        let inner = &self.connections.inner;
        inner.table.lock().open.remove(&self.id);
        inner.metrics.open.decrement(1.0);
        inner.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;
    use std::task::Poll;

    use super::*;

    const RETRY: Duration = Duration::from_millis(10);

    fn table(len_max: usize) -> Connections {
        Connections::new(
            len_max,
            TableMetrics { open: Gauge::noop(), dropped: Counter::noop(), evicted: Counter::noop() },
        )
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    async fn is_signalled(entry: &EntryGuard) -> bool {
        let mut signalled = std::pin::pin!(entry.evict.notified());
        poll_fn(|context| Poll::Ready(signalled.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_table_evicts_from_the_largest_network_and_admits_the_waiting_connection() {
        let table = table(3);
        let (first, second) = (table.enter(address(1), RETRY).await, table.enter(address(1), RETRY).await);
        let other = table.enter(address(2), RETRY).await;
        let busy = first.state.begin(false);
        let waiting = tokio::spawn({
            let table = table.clone();
            async move { table.enter(address(3), RETRY).await }
        });
        second.evict.notified().await;
        assert!(!is_signalled(&first).await && !is_signalled(&other).await && !waiting.is_finished());
        drop(second);
        let newcomer = waiting.await.expect("admitted");
        drop((busy, first, other, newcomer));
        assert!(table.inner.table.lock().open.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_table_of_busy_connections_admits_one_when_the_first_is_idle() {
        let table = table(1);
        let only = table.enter(address(1), RETRY).await;
        let busy = only.state.begin(false);
        let waiting = table.enter(address(2), RETRY);
        assert!(tokio::time::timeout(RETRY * 10, waiting).await.is_err());
        assert!(!is_signalled(&only).await);
        drop(busy);
        let waiting = tokio::spawn({
            let table = table.clone();
            async move { table.enter(address(2), RETRY).await }
        });
        only.evict.notified().await;
        drop(only);
        waiting.await.expect("admitted");
    }
}
