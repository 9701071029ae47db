//! Polls futures of one task that wake each other again at once: the driver of a connection, and
//! the future that waits for its response.
//!
//! A task that is woken while it is polled is queued behind all others, and another worker is woken
//! to steal it: a needless futex call and a move between processors. A wake from within the poll
//! repeats the poll instead.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::sync::{AtomicU8, Mutex, Ordering};

/// Polls in a row before the task yields to the others of its worker.
pub(super) const POLLS_MAX: usize = 16;

/// Not being polled: a wake goes to the task.
const IDLE: u8 = 0;
/// Being polled.
const POLLING: u8 = 1;
/// Woken while being polled.
const WOKEN: u8 = 2;

/// The waker of such futures.
pub(crate) struct InlineWaker {
    state: Arc<State>,
    waker: Waker,
}

struct State {
    phase: AtomicU8,
    /// The task that polled last.
    task: Mutex<Waker>,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Also updated when it is woken already: the poll that follows must see writes made before
        // this wake.
        let repeat = |phase| (phase != IDLE).then_some(WOKEN);
        if self.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, repeat).is_err() {
            let task = self.task.lock().clone();
            task.wake();
        }
    }
}

impl Default for InlineWaker {
    fn default() -> Self {
        let state = Arc::new(State { phase: AtomicU8::new(IDLE), task: Mutex::new(Waker::noop().clone()) });
        Self { waker: Waker::from(state.clone()), state }
    }
}

impl InlineWaker {
    /// Runs an operation that wakes one of the futures, and drops the wake: the caller polls all of
    /// them next.
    pub fn without_wake<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.state.phase.store(POLLING, Ordering::Release);
        let done = work();
        self.state.phase.swap(IDLE, Ordering::AcqRel);
        done
    }

    /// Polls until no wake came from within. A wake during the poll that is ready is dropped: the
    /// caller polls everything again before it waits.
    pub fn poll<T>(&mut self, cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.state.task.lock().clone_from(cx.waker());
        let phase = &self.state.phase;
        for _ in 0..POLLS_MAX {
            phase.store(POLLING, Ordering::Release);
            let polled = poll(&mut Context::from_waker(&self.waker));
            let woken = phase.swap(IDLE, Ordering::AcqRel) == WOKEN;
            if polled.is_ready() || !woken {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
