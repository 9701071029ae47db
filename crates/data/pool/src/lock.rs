//! The pool's locks and the one order in which a thread may take them; debug builds check it.
//!
//! | rank | lock | guards |
//! | --- | --- | --- |
//! | 1 | `Driver::versions` | the versions that have instances, starts or waiters |
//! | 2 | `Freezer::frozen` | mutual exclusion of freeze and thaw of one instance |
//! | 3 | `Version::locked` | a version's state, its instances and its waiting requests |
//! | 4 | `Driver::admission` | usage of quotas and limits, and claims |
//! | 5 | `Driver::deadlines` | when maintenance examines each version |
//! | 6 | `Driver::histories` | histories of versions that are not in the map |
//!
//! A thread takes locks in rising rank, and never two of one rank: not those of two versions, nor
//! of two instances. No lock is held across an await, nor while an effect is performed, except an
//! instance's own while its process is frozen or thawed.

use std::ops::{Deref, DerefMut};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A lock's place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Versions = 1,
    Frozen,
    Version,
    Admission,
    Deadlines,
    Histories,
}

/// Records that this thread holds a lock of some rank; empty in release builds.
struct Held {
    #[cfg(debug_assertions)]
    rank: Rank,
}

#[cfg(debug_assertions)]
thread_local! {
    /// The ranks that this thread holds.
    static HELD: std::cell::RefCell<Vec<Rank>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(debug_assertions)]
impl Held {
    fn take(rank: Rank) -> Self {
        HELD.with_borrow_mut(|held| {
            let highest = held.iter().max();
            assert!(highest.is_none_or(|highest| *highest < rank), "{rank:?} is locked while {held:?} are held");
            held.push(rank);
        });
        Self { rank }
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        HELD.with_borrow_mut(|held| held.retain(|rank| *rank != self.rank));
    }
}

#[cfg(not(debug_assertions))]
impl Held {
    #[inline]
    fn take(_: Rank) -> Self {
        Self {}
    }
}

/// Panics in debug builds when this thread holds one of the pool's locks.
#[inline]
pub(crate) fn assert_none_held() {
    #[cfg(debug_assertions)]
    HELD.with_borrow(|held| assert!(held.is_empty(), "an effect is performed while {held:?} are held"));
}

/// A guard and its rank.
pub(crate) struct Guard<G> {
    guard: G,
    _held: Held,
}

impl<G: Deref> Deref for Guard<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Guard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

/// A mutex with a rank.
pub(crate) struct RankedMutex<T> {
    rank: Rank,
    inner: Mutex<T>,
}

impl<T> RankedMutex<T> {
    pub fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: Mutex::new(value) }
    }

    #[inline]
    pub fn lock(&self) -> Guard<MutexGuard<'_, T>> {
        let held = Held::take(self.rank);
        Guard { guard: self.inner.lock(), _held: held }
    }
}

/// A reader-writer lock with a rank.
pub(crate) struct RankedRwLock<T> {
    rank: Rank,
    inner: RwLock<T>,
}

impl<T> RankedRwLock<T> {
    pub fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: RwLock::new(value) }
    }

    #[inline]
    pub fn read(&self) -> Guard<RwLockReadGuard<'_, T>> {
        let held = Held::take(self.rank);
        Guard { guard: self.inner.read(), _held: held }
    }

    #[inline]
    pub fn write(&self) -> Guard<RwLockWriteGuard<'_, T>> {
        let held = Held::take(self.rank);
        Guard { guard: self.inner.write(), _held: held }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    const RANKS: [Rank; 6] =
        [Rank::Versions, Rank::Frozen, Rank::Version, Rank::Admission, Rank::Deadlines, Rank::Histories];

    fn may_follow(first: Rank, second: Rank) -> bool {
        let (first, second) = (RankedMutex::new(first, ()), RankedRwLock::new(second, ()));
        std::thread::spawn(move || {
            let _first = first.lock();
            let _second = second.write();
        })
        .join()
        .is_ok()
    }

    #[test]
    fn locks_are_taken_in_rising_rank_and_never_two_of_one() {
        for (n, first) in RANKS.into_iter().enumerate() {
            for (m, second) in RANKS.into_iter().enumerate() {
                assert_eq!(may_follow(first, second), n < m, "{second:?} after {first:?}");
            }
        }
    }

    #[test]
    fn a_lock_that_was_let_go_may_be_taken_again() {
        let (versions, version) = (RankedRwLock::new(Rank::Versions, 1), RankedMutex::new(Rank::Version, 2));
        let first = versions.read();
        drop(version.lock());
        *version.lock() += 1;
        drop(first);
        assert_eq!(*version.lock(), 3);
        assert_eq!(*versions.write(), 1);
        assert_none_held();
    }
}
