//! The table of all open connections: one owner of who is there, and of the room for more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::activity::Activity;
use crate::eviction::{Held, Holder, victims};

/// Connections that one look at the table chooses: a look costs as much as there are connections.
const CHOSEN_MAX: usize = 64;

/// What the connections of one table are counted by.
pub struct Meters {
    /// Those that are open.
    pub open: Gauge,
    /// Those that were ended because their client did not do its part.
    pub dropped: Counter,
    /// Those that made room for others.
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
    /// A connection ended.
    freed: Notify,
    meters: Meters,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    open: HashMap<u64, Entry>,
    /// Chosen to make room, the next one last.
    chosen: Vec<u64>,
}

struct Entry {
    holder: Holder,
    activity: Arc<Activity>,
    evict: Arc<Notify>,
}

impl Connections {
    /// Room for `len_max` connections, one at least.
    pub fn new(len_max: usize, meters: Meters) -> Self {
        let inner = Inner { len_max: len_max.max(1), table: Mutex::default(), freed: Notify::new(), meters };
        Self { inner: Arc::new(inner) }
    }

    /// What they are counted by.
    pub fn meters(&self) -> &Meters {
        &self.inner.meters
    }

    /// Takes a connection in as soon as there is room, which idle ones make. Where none is idle it waits until one is, or
    /// ends; it looks again every `look`.
    pub(crate) async fn enter(&self, address: IpAddr, look: Duration) -> Member {
        loop {
            if let Some(member) = self.try_enter(address) {
                return member;
            }
            tokio::time::timeout(look, self.inner.freed.notified()).await.ok();
        }
    }

    fn try_enter(&self, address: IpAddr) -> Option<Member> {
        let mut table = self.inner.table.lock();
        if table.open.len() >= self.inner.len_max {
            table.evict_one();
            return None;
        }
        table.last_id += 1;
        let (id, activity, evict) = (table.last_id, Activity::new(), Arc::new(Notify::new()));
        let entry = Entry { holder: Holder::of(address), activity: activity.clone(), evict: evict.clone() };
        table.open.insert(id, entry);
        self.inner.meters.open.increment(1.0);
        Some(Member { id, connections: self.clone(), activity, evict })
    }
}

impl Table {
    /// Asks one connection to go. It goes unless it has a request by then, and another is asked at the next look.
    fn evict_one(&mut self) {
        for fresh in [false, true] {
            if fresh {
                let held = self.open.iter().map(|(id, entry)| Held {
                    id: *id,
                    holder: entry.holder,
                    idle_ms: entry.activity.idle_ms(),
                });
                self.chosen = victims(held, CHOSEN_MAX);
                self.chosen.reverse();
            }
            while let Some(id) = self.chosen.pop() {
                if let Some(entry) = self.open.get(&id).filter(|entry| entry.activity.idle_ms().is_some()) {
                    entry.evict.notify_one();
                    return;
                }
            }
        }
    }
}

/// A connection's place in the table, free again when it is dropped.
pub(crate) struct Member {
    id: u64,
    connections: Connections,
    pub activity: Arc<Activity>,
    /// It was chosen to make room.
    pub evict: Arc<Notify>,
}

impl Member {
    /// The table that it is in.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let inner = &self.connections.inner;
        inner.table.lock().open.remove(&self.id);
        inner.meters.open.decrement(1.0);
        inner.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;
    use std::task::Poll;

    use super::*;

    const LOOK: Duration = Duration::from_millis(10);

    fn table(len_max: usize) -> Connections {
        Connections::new(len_max, Meters { open: Gauge::noop(), dropped: Counter::noop(), evicted: Counter::noop() })
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    async fn is_asked_to_go(member: &Member) -> bool {
        let mut asked = std::pin::pin!(member.evict.notified());
        poll_fn(|context| Poll::Ready(asked.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_table_asks_the_biggest_holder_and_takes_in_who_waits() {
        let table = table(3);
        let (first, second) = (table.enter(address(1), LOOK).await, table.enter(address(1), LOOK).await);
        let other = table.enter(address(2), LOOK).await;
        let busy = first.activity.begin(false);
        let waits = tokio::spawn({
            let table = table.clone();
            async move { table.enter(address(3), LOOK).await }
        });
        second.evict.notified().await;
        assert!(!is_asked_to_go(&first).await && !is_asked_to_go(&other).await && !waits.is_finished());
        drop(second);
        let newcomer = waits.await.expect("taken in");
        drop((busy, first, other, newcomer));
        assert!(table.inner.table.lock().open.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_have_requests_the_next_one_waits_for_the_first_that_has_none() {
        let table = table(1);
        let only = table.enter(address(1), LOOK).await;
        let busy = only.activity.begin(false);
        let waits = table.enter(address(2), LOOK);
        assert!(tokio::time::timeout(LOOK * 10, waits).await.is_err());
        assert!(!is_asked_to_go(&only).await);
        drop(busy);
        let waits = tokio::spawn({
            let table = table.clone();
            async move { table.enter(address(2), LOOK).await }
        });
        only.evict.notified().await;
        drop(only);
        waits.await.expect("taken in");
    }
}
