//! Freezing of idle instances, which may block: in sequence on one thread, even if a burst leaves
//! many idle at once.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

type Work = Box<dyn FnOnce() + Send>;

/// Work that waits for the thread. An instance is queued once: it is idle, and not marked again
/// until it was used.
#[derive(Clone, Default)]
pub(super) struct Freezing(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    work: VecDeque<Work>,
    /// A thread is working on the queue.
    is_taken: bool,
}

impl Freezing {
    /// Queues `work`; the thread that runs it counts as one of `tasks`.
    pub fn add(&self, tasks: &TaskTracker, runtime: &Handle, work: impl FnOnce() + Send + 'static) {
        let mut waiting = self.0.lock();
        waiting.work.push_back(Box::new(work));
        if !std::mem::replace(&mut waiting.is_taken, true) {
            let own = self.clone();
            tasks.spawn_blocking_on(move || own.run(), runtime);
        }
    }

    fn run(&self) {
        // If one item panics, the others are still done.
        let _again = Again(self);
        while let Some(work) = self.next() {
            work();
        }
    }

    fn next(&self) -> Option<Work> {
        let mut waiting = self.0.lock();
        let next = waiting.work.pop_front();
        waiting.is_taken = next.is_some();
        next
    }
}

/// Lets the next thread take over when this one ends early.
struct Again<'a>(&'a Freezing);

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.0.lock().is_taken = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[tokio::test]
    async fn all_is_done_by_one_thread_at_a_time_also_after_a_panic() {
        let (freezing, tasks, runtime) = (Freezing::default(), TaskTracker::new(), Handle::current());
        let threads = Arc::new(Mutex::new((0_u32, HashSet::new())));
        let (gate, open) = std::sync::mpsc::channel::<()>();
        freezing.add(&tasks, &runtime, move || assert!(open.recv().is_err()));
        for number in 0..100 {
            let threads = threads.clone();
            freezing.add(&tasks, &runtime, move || {
                assert_ne!(number, 50, "it panics");
                let mut seen = threads.lock();
                seen.0 += 1;
                seen.1.insert(std::thread::current().id());
            });
        }
        drop(gate);
        let done = || threads.lock().0 >= 50;
        while !done() {
            tokio::task::yield_now().await;
        }
        let more = threads.clone();
        // The next `add` continues with the items that the panic left.
        while !tasks.is_empty() {
            tokio::task::yield_now().await;
        }
        freezing.add(&tasks, &runtime, move || more.lock().0 += 1);
        tasks.close();
        tasks.wait().await;
        let (count, threads) = &*threads.lock();
        assert!(*count == 100 && threads.len() <= 2, "{count} on {} threads", threads.len());
    }
}
