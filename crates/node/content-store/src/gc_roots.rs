//! Roots of garbage collection: pins, holds and leases, and the time of each item's last use. In
//! memory, under one lock that is never held during I/O; `pins` writes the pins to disk.
//!
//! Collection runs concurrently with all users of content. It is correct because every user
//! registers first (touches the item, or holds or pins its root) and checks the file second, while
//! the collector checks the registration again under this lock when it removes the item: the user
//! is either seen by the collector, or finds the item absent.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use types::Digest;

use crate::layer_name::LayerName;

/// A collectable item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// A blob.
    Blob(Digest),
    /// A layer or a root file system.
    Layer(LayerName),
}

/// A root of the reference graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// A manifest or an index.
    pub digest: Digest,
    /// Whether the root file system of the image stays too.
    pub keeps_rootfs: bool,
}

#[derive(Default)]
struct State {
    pins: BTreeMap<String, Pin>,
    holds: HashMap<Digest, usize>,
    leases: BTreeMap<u64, Instant>,
    lease_next: u64,
    touched: HashMap<Item, Instant>,
}

/// The roots of one store; clones share them.
#[derive(Clone, Default)]
pub struct GcRoots(Arc<Mutex<State>>);

/// Keeps an image like a pin until it is dropped; it is in memory only.
pub struct Hold {
    gc_roots: GcRoots,
    digest: Digest,
}

/// Protects content touched since its creation from collection, pinned or not, until it is dropped.
/// A push holds one, so that its blobs stay until its manifest references them.
pub struct Lease {
    gc_roots: GcRoots,
    id: u64,
}

/// A touch that can be undone.
pub struct Touch {
    now: Instant,
    before: Option<Instant>,
}

/// The roots at the beginning of a collection.
#[derive(Debug)]
pub struct Roots {
    /// Pins, and holds as such.
    pub pins: Vec<Pin>,
    /// The time of the snapshot.
    pub since: Instant,
}

/// Whether an item that no root references can be removed. Pure.
///
/// `touched` is its last touch in this process; `age` the time since its creation, by the file
/// system's clock; `since` when the collector read its roots; `lease` the oldest lease.
fn is_spent(
    touched: Option<Instant>,
    age: Duration,
    since: Instant,
    lease: Option<Instant>,
    now: Instant,
    grace: Duration,
) -> bool {
    let untouched = touched
        .is_none_or(|t| t < since && lease.is_none_or(|lease| t < lease) && now.saturating_duration_since(t) >= grace);
    untouched && age >= grace
}

impl GcRoots {
    /// Registers the use of an item.
    pub fn touch(&self, item: Item) -> Touch {
        let now = Instant::now();
        let before = self.0.lock().touched.insert(item, now);
        Touch { now, before }
    }

    /// Undoes a touch of an item that does not exist, which must not stay in the table. A later
    /// touch by the item's creator stays.
    pub fn untouch(&self, item: &Item, touch: &Touch) {
        let mut state = self.0.lock();
        if state.touched.get(item) == Some(&touch.now) {
            match touch.before {
                Some(before) => state.touched.insert(item.clone(), before),
                None => state.touched.remove(item),
            };
        }
    }

    /// Sets the owner's pin, replacing an earlier one.
    pub fn set_pin(&self, owner: &str, pin: Pin) {
        self.0.lock().pins.insert(owner.to_owned(), pin);
    }

    /// Removes the owner's pin.
    pub fn remove_pin(&self, owner: &str) {
        self.0.lock().pins.remove(owner);
    }

    /// The owner's pin.
    pub fn pin(&self, owner: &str) -> Option<Pin> {
        self.0.lock().pins.get(owner).cloned()
    }

    /// Owners that begin with `prefix`, sorted, with their pinned digests.
    pub fn pins(&self, prefix: &str) -> Vec<(String, Digest)> {
        let state = self.0.lock();
        let from = state.pins.range(prefix.to_owned()..);
        from.take_while(|(owner, _)| owner.starts_with(prefix))
            .map(|(owner, pin)| (owner.clone(), pin.digest.clone()))
            .collect()
    }

    /// Keeps an image until the result is dropped.
    pub fn hold(&self, digest: &Digest) -> Hold {
        *self.0.lock().holds.entry(digest.clone()).or_default() += 1;
        Hold { gc_roots: self.clone(), digest: digest.clone() }
    }

    /// Keeps items touched from now on until the result is dropped.
    pub fn lease(&self) -> Lease {
        let mut state = self.0.lock();
        let id = state.lease_next;
        state.lease_next += 1;
        state.leases.insert(id, Instant::now());
        Lease { gc_roots: self.clone(), id }
    }

    /// A snapshot of the roots.
    pub fn roots(&self) -> Roots {
        self.roots_without(&HashSet::new())
    }

    /// A snapshot of the roots without the pins of these owners.
    pub fn roots_without(&self, owners: &HashSet<String>) -> Roots {
        let state = self.0.lock();
        let holds = state.holds.keys().map(|digest| Pin { digest: digest.clone(), keeps_rootfs: true });
        let pins = state.pins.iter().filter(|(owner, _)| !owners.contains(*owner)).map(|(_, pin)| pin.clone());
        Roots { pins: pins.chain(holds).collect(), since: Instant::now() }
    }

    /// Whether [`GcRoots::remove_if_spent`] would remove an item now.
    pub fn is_spent(&self, item: &Item, age: Duration, since: Instant, grace: Duration) -> bool {
        let state = self.0.lock();
        let lease = state.leases.values().min().copied();
        is_spent(state.touched.get(item).copied(), age, since, lease, Instant::now(), grace)
    }

    /// Removes an item that no root referenced at `since`, unless it has been touched or leased.
    /// `remove` must be quick.
    ///
    /// # Errors
    /// The errors of `remove`.
    pub fn remove_if_spent<E>(
        &self,
        item: &Item,
        age: Duration,
        since: Instant,
        grace: Duration,
        remove: impl FnOnce() -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut state = self.0.lock();
        let lease = state.leases.values().min().copied();
        if !is_spent(state.touched.get(item).copied(), age, since, lease, Instant::now(), grace) {
            return Ok(false);
        }
        remove()?;
        state.touched.remove(item);
        Ok(true)
    }

    /// Time since the last touch of an item in this process; `None` without one.
    pub fn idle(&self, item: &Item) -> Option<Duration> {
        self.0.lock().touched.get(item).map(Instant::elapsed)
    }

    /// Drops old touches of items that no longer exist, which bounds the table.
    pub fn forget_old_touches(&self, grace: Duration, is_there: impl Fn(&Item) -> bool) {
        let mut state = self.0.lock();
        let now = Instant::now();
        let lease = state.leases.values().min().copied();
        state.touched.retain(|item, touched| {
            let recent = now.saturating_duration_since(*touched) < grace;
            recent || lease.is_some_and(|lease| *touched >= lease) || is_there(item)
        });
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.gc_roots.0.lock();
        if let Some(count) = state.holds.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                state.holds.remove(&self.digest);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.gc_roots.0.lock().leases.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_touched_since_the_roots_the_lease_or_the_grace_stays(
            touched in 0u64..1000, since in 0u64..1000, lease in proptest::option::of(0u64..1000),
            age in 0u64..1000, grace in 0u64..1000,
        ) {
            let start = Instant::now();
            let at = |s: u64| start + Duration::from_secs(s);
            let now = at(1000);
            let spent = is_spent(
                Some(at(touched)), Duration::from_secs(age), at(since), lease.map(at), now, Duration::from_secs(grace),
            );
            let needed = touched >= since || lease.is_some_and(|l| touched >= l)
                || 1000 - touched < grace || age < grace;
            prop_assert_eq!(spent, !needed);
        }
    }

    #[test]
    fn a_hold_is_a_root_until_its_last_guard_goes() {
        let gc_roots = GcRoots::default();
        let digest = Digest::from_sha256(&[1; 32]);
        let first = gc_roots.hold(&digest);
        let second = gc_roots.hold(&digest);
        drop(first);
        assert_eq!(gc_roots.roots().pins.len(), 1);
        drop(second);
        assert!(gc_roots.roots().pins.is_empty());
    }

    #[test]
    fn a_touch_that_is_taken_back_leaves_the_one_before() {
        let gc_roots = GcRoots::default();
        let (maker, item) = (gc_roots.lease(), Item::Blob(Digest::from_sha256(&[1; 32])));
        let remove = |gc_roots: &GcRoots| {
            let since = Instant::now();
            gc_roots.remove_if_spent(&item, Duration::ZERO, since, Duration::ZERO, || Ok::<_, ()>(())).expect("removed")
        };
        gc_roots.touch(item.clone());
        let look = gc_roots.touch(item.clone());
        gc_roots.untouch(&item, &look);
        assert!(!remove(&gc_roots), "its maker has a lease");
        drop(maker);
        assert!(remove(&gc_roots));
    }

    #[test]
    fn pins_are_listed_by_prefix() {
        let gc_roots = GcRoots::default();
        let pin = Pin { digest: Digest::from_sha256(&[1; 32]), keeps_rootfs: false };
        for owner in ["b/1", "a/2", "a/1", "ab"] {
            gc_roots.set_pin(owner, pin.clone());
        }
        let owners: Vec<_> = gc_roots.pins("a/").into_iter().map(|(owner, _)| owner).collect();
        assert_eq!(owners, ["a/1", "a/2"]);
    }
}
