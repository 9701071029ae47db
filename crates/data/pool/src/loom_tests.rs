//! All interleavings of threads on an instance and on the claim count, with the same source on
//! loom's primitives.

mod sync {
    pub use loom::sync::MutexGuard;
    pub use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics")
        }
    }
}

#[allow(dead_code, reason = "not all of it is tried here")]
#[path = "claim_count.rs"]
mod claim_count;
#[allow(dead_code, reason = "not all of it is tried here")]
#[path = "freezer.rs"]
mod freezer;

use loom::sync::Arc;
use loom::thread;

use self::claim_count::ClaimCount;
use self::freezer::Freezer;
use self::sync::{AtomicBool, Mutex, Ordering};

/// An instance as the threads of the pool see it.
struct Instance {
    freezer: Freezer,
    /// The version's state under its lock: whether the instance is leased.
    leased: Mutex<bool>,
    process_frozen: AtomicBool,
    process_stopped: AtomicBool,
}

impl Instance {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            freezer: Freezer::new(Mutex::new(false)),
            leased: Mutex::new(false),
            process_frozen: AtomicBool::new(false),
            process_stopped: AtomicBool::new(false),
        })
    }

    fn freeze(&self) {
        let freeze = || {
            assert!(!self.process_stopped.load(Ordering::SeqCst), "frozen after it was asked to end");
            assert!(!self.process_frozen.swap(true, Ordering::SeqCst), "frozen twice");
            Ok(())
        };
        self.freezer.freeze(|| !*self.leased.lock(), freeze).expect("it freezes");
    }

    fn lease(&self) {
        *self.leased.lock() = true;
        let thaw = || {
            assert!(self.process_frozen.swap(false, Ordering::SeqCst), "thawed twice");
            Ok(())
        };
        self.freezer.thaw(thaw).expect("it thaws");
        assert!(!self.process_frozen.load(Ordering::SeqCst), "a request is sent to a frozen process");
    }

    fn stop(&self) {
        if self.freezer.end() {
            self.freezer.settle();
            self.process_stopped.store(true, Ordering::SeqCst);
        }
    }
}

#[test]
fn a_leased_instance_runs_whenever_it_was_to_be_frozen() {
    loom::model(|| {
        let instance = Instance::new();
        let freezing = thread::spawn({
            let instance = Arc::clone(&instance);
            move || instance.freeze()
        });
        instance.lease();
        freezing.join().expect("no panic");
        assert!(!instance.process_frozen.load(Ordering::SeqCst));
        instance.freeze();
        assert!(!instance.process_frozen.load(Ordering::SeqCst), "it is leased");
    });
}

#[test]
fn an_instance_that_ends_is_not_frozen_afterwards_and_is_told_once() {
    loom::model(|| {
        let instance = Instance::new();
        let threads = [Instance::freeze, Instance::stop].map(|act| {
            let instance = Arc::clone(&instance);
            thread::spawn(move || act(&instance))
        });
        instance.stop();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert!(instance.freezer.ends() && instance.process_stopped.load(Ordering::SeqCst));
    });
}

/// A version whose slot comes free, and another one that claims room.
struct Room {
    claims: ClaimCount,
    /// Whether there is a claim, under the lock of admission.
    claimed: Mutex<bool>,
    /// Whether the first version's instance is idle, under that version's lock.
    idle: Mutex<bool>,
}

#[test]
fn room_that_comes_free_while_another_version_claims_it_is_not_lost() {
    loom::model(|| {
        let room = Arc::new(Room { claims: ClaimCount::new(), claimed: Mutex::new(false), idle: Mutex::new(false) });
        // As Driver::release does.
        let releasing = thread::spawn({
            let room = Arc::clone(&room);
            move || {
                let mut idle = room.idle.lock();
                let yields = room.claims.any() && *room.claimed.lock();
                *idle = !yields;
                yields
            }
        });
        // As Driver::start_wanted and make_room do.
        {
            let mut claimed = room.claimed.lock();
            *claimed = true;
            room.claims.set(1);
        }
        let found_idle = *room.idle.lock();
        let yielded = releasing.join().expect("no panic");
        assert!(yielded || found_idle, "the instance stays idle while its room is waited for");
    });
}
