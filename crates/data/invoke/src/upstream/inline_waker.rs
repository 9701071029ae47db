//! Polls futures of one task that wake each other again at once: the driver of a connection, and what waits for its
//! response.
//!
//! A task that is woken while it is polled is queued behind all others, and another worker is woken to steal it: a futex
//! call, and a move between processors, for nothing. A wake from within the poll repeats the poll instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// Polls in a row before the task yields to the others of its worker.
const POLLS_MAX: usize = 16;

/// Not being polled: a wake is for the task.
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
        let taken = self.phase.compare_exchange(POLLING, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if taken == Err(IDLE) {
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
    /// Polls until no wake came from within. A wake during the poll that is ready is dropped: the caller polls everything
    /// again before it waits.
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn run(mut poll: impl FnMut(usize, &mut Context<'_>) -> Poll<()>) -> (Poll<()>, usize, usize) {
        let (mut inline, task, mut polls) = (InlineWaker::default(), Arc::new(Woken::default()), 0);
        let polled = inline.poll(&mut Context::from_waker(&Waker::from(task.clone())), |cx| {
            polls += 1;
            poll(polls, cx)
        });
        (polled, polls, task.0.load(Ordering::Relaxed))
    }

    #[test]
    fn a_wake_from_within_polls_again_and_does_not_wake_the_task() {
        let (polled, polls, woken) = run(|poll, cx| {
            if poll == 3 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((polled, polls, woken), (Poll::Ready(()), 3, 0));
    }

    #[test]
    fn futures_that_wake_each_other_without_end_yield_to_other_tasks() {
        let (polled, polls, woken) = run(|_, cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((polled, polls, woken), (Poll::Pending, POLLS_MAX, 1));
    }

    #[test]
    fn a_wake_between_polls_reaches_the_task() {
        let (mut inline, task) = (InlineWaker::default(), Arc::new(Woken::default()));
        let mut inside = Waker::noop().clone();
        let outer = Waker::from(task.clone());
        let polled: Poll<()> = inline.poll(&mut Context::from_waker(&outer), |cx| {
            inside = cx.waker().clone();
            Poll::Pending
        });
        assert_eq!((polled, task.0.load(Ordering::Relaxed)), (Poll::Pending, 0));
        inside.wake_by_ref();
        std::thread::spawn(move || inside.wake()).join().expect("woken");
        assert_eq!(task.0.load(Ordering::Relaxed), 2, "from whichever thread");
    }
}
