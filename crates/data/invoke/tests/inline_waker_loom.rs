//! The inline waker under every interleaving and memory order that two waking threads allow, by
//! loom: no wake is lost, and writes before a wake are visible to the poll that follows it.

#[allow(dead_code, reason = "a test in one thread has the rest")]
#[path = "../src/upstream/inline_waker.rs"]
mod inline_waker;

/// The waker's primitives, from loom.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU8, Ordering};

    /// A mutex with parking_lot's interface.
    pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics")
        }
    }
}

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};

use crate::inline_waker::InlineWaker;

/// Preemptions of a thread in one execution; more than these take minutes and have found nothing
/// else.
const PREEMPTIONS_MAX: usize = 2;

/// Polls until each of `threads` has set, with relaxed ordering, that it is done and then woken the
/// waker.
fn no_wake_of_so_many_threads_is_lost(threads: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS_MAX);
    model.check(move || {
        let mut inline = InlineWaker::default();
        let mut inner = Waker::noop().clone();
        let first: Poll<()> = inline.poll(&mut Context::from_waker(Waker::noop()), |cx| {
            inner.clone_from(cx.waker());
            Poll::Ready(())
        });
        assert!(first.is_ready());
        let done: Vec<_> = (0..threads).map(|_| Arc::new(AtomicBool::new(false))).collect();
        let waking: Vec<_> = done
            .iter()
            .map(|done| {
                let (done, inner) = (Arc::clone(done), inner.clone());
                loom::thread::spawn(move || {
                    done.store(true, Ordering::Relaxed);
                    inner.wake();
                })
            })
            .collect();
        // A lost wake leaves this waiting for ever, which loom reports.
        loom::future::block_on(poll_fn(|cx| {
            inline.poll(cx, |_| match done.iter().all(|done| done.load(Ordering::Relaxed)) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
        }));
        for thread in waking {
            thread.join().expect("no thread panics");
        }
    });
}

#[test]
fn no_wake_of_one_thread_is_lost() {
    no_wake_of_so_many_threads_is_lost(1);
}

#[test]
fn no_wake_of_two_threads_is_lost() {
    no_wake_of_so_many_threads_is_lost(2);
}
