//! Futures of one task that wake each other: the driver of a connection, and who waits for what it brings.
//!
//! A task that is woken while it runs is put behind all others, and another worker is woken to take it: system calls, and a
//! move between processors, for nothing. What wakes the task from inside is answered here by another turn at once. Must not
//! know what is polled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// Turns in a row before the other tasks of the worker have theirs.
const TURNS_MAX: usize = 16;

/// Nobody is being polled: a wake is for the task.
const RESTING: u8 = 0;
/// Being polled.
const TURN: u8 = 1;
/// Woken while being polled.
const ANOTHER_TURN: u8 = 2;

/// What the futures are woken by.
pub(crate) struct Nest {
    shared: Arc<Shared>,
    waker: Waker,
}

struct Shared {
    phase: AtomicU8,
    /// Who is woken in the end: the task that polled last.
    task: Mutex<Waker>,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self.phase.compare_exchange(TURN, ANOTHER_TURN, Ordering::AcqRel, Ordering::Acquire);
        if noted == Err(RESTING) {
            let task = self.task.lock().clone();
            task.wake();
        }
    }
}

impl Default for Nest {
    fn default() -> Self {
        let shared = Arc::new(Shared { phase: AtomicU8::new(RESTING), task: Mutex::new(Waker::noop().clone()) });
        Self { waker: Waker::from(shared.clone()), shared }
    }
}

impl Nest {
    /// Polls until nothing that was polled wakes another. What was woken in the turn that is ready is not told: the caller polls
    /// all of it again before it waits.
    pub fn poll<T>(&mut self, cx: &mut Context<'_>, mut turn: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.shared.task.lock().clone_from(cx.waker());
        let phase = &self.shared.phase;
        for _ in 0..TURNS_MAX {
            phase.store(TURN, Ordering::Release);
            let polled = turn(&mut Context::from_waker(&self.waker));
            let woken = phase.swap(RESTING, Ordering::AcqRel) == ANOTHER_TURN;
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

    fn run(mut turn: impl FnMut(usize, &mut Context<'_>) -> Poll<()>) -> (Poll<()>, usize, usize) {
        let (mut nest, task, mut turns) = (Nest::default(), Arc::new(Woken::default()), 0);
        let polled = nest.poll(&mut Context::from_waker(&Waker::from(task.clone())), |cx| {
            turns += 1;
            turn(turns, cx)
        });
        (polled, turns, task.0.load(Ordering::Relaxed))
    }

    #[test]
    fn a_wake_from_inside_is_another_turn_and_not_the_tasks() {
        let (polled, turns, woken) = run(|turn, cx| {
            if turn == 3 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((polled, turns, woken), (Poll::Ready(()), 3, 0));
    }

    #[test]
    fn who_never_comes_to_rest_lets_others_have_their_turn() {
        let (polled, turns, woken) = run(|_, cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((polled, turns, woken), (Poll::Pending, TURNS_MAX, 1));
    }

    #[test]
    fn a_wake_at_rest_reaches_the_task() {
        let (mut nest, task) = (Nest::default(), Arc::new(Woken::default()));
        let mut inside = Waker::noop().clone();
        let outer = Waker::from(task.clone());
        let polled: Poll<()> = nest.poll(&mut Context::from_waker(&outer), |cx| {
            inside = cx.waker().clone();
            Poll::Pending
        });
        assert_eq!((polled, task.0.load(Ordering::Relaxed)), (Poll::Pending, 0));
        inside.wake_by_ref();
        std::thread::spawn(move || inside.wake()).join().expect("woken");
        assert_eq!(task.0.load(Ordering::Relaxed), 2, "from whichever thread");
    }
}
