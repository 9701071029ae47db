//! The inline waker in one thread; `tests/inline_waker_loom.rs` covers several.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::inline_waker::{InlineWaker, POLLS_MAX};

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

#[test]
fn a_wake_that_polls_anyhow_is_dropped_and_the_next_one_is_not() {
    let (mut inline, task) = (InlineWaker::default(), Arc::new(Woken::default()));
    let outer = Waker::from(task.clone());
    let mut inner = Waker::noop().clone();
    let _: Poll<()> = inline.poll(&mut Context::from_waker(&outer), |cx| {
        inner = cx.waker().clone();
        Poll::Pending
    });
    inline.without_wake(|| inner.wake_by_ref());
    assert_eq!(task.0.load(Ordering::Relaxed), 0);
    inner.wake_by_ref();
    assert_eq!(task.0.load(Ordering::Relaxed), 1);
}
