//! Polls a future only when its own waker was woken, and not whenever its task was: rare events of
//! a connection are not polled for each of its requests.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// A future behind a gate that its own wake-ups open.
pub(crate) struct Gated<F> {
    future: F,
    gate: Arc<Gate>,
    waker: Waker,
}

struct Gate {
    is_open: AtomicBool,
    /// The task that polled last.
    task: Mutex<Waker>,
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task wakes, which finds the gate open then.
        self.is_open.store(true, Ordering::Release);
        let task = self.task.lock().clone();
        task.wake();
    }
}

impl<F> Gated<F> {
    /// The gate is open for the first poll.
    pub fn new(future: F) -> Self {
        let gate = Arc::new(Gate { is_open: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) });
        Self { future, waker: Waker::from(Arc::clone(&gate)), gate }
    }
}

impl<F: Future + Unpin> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        // Before the gate is checked: a wake from here on reaches this task.
        this.gate.task.lock().clone_from(cx.waker());
        if !this.gate.is_open.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        Pin::new(&mut this.future).poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_future_is_polled_once_for_each_wake_of_its_own() {
        let (notify, polls) = (Arc::new(Notify::new()), AtomicUsize::new(0));
        let mut notified = pin!(notify.notified());
        let mut gated = Gated::new(poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            notified.as_mut().poll(cx)
        }));
        for _ in 0..5 {
            assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut gated).poll(cx))).await.is_pending());
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        let waking = Arc::clone(&notify);
        let woken = tokio::spawn(async move { waking.notify_one() });
        gated.await;
        woken.await.expect("no panic");
        assert_eq!(polls.load(Ordering::Relaxed), 2);
    }
}
