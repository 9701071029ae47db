//! Work after starts and ends of instances, on a fixed set of threads with queues, so that a start
//! or an end never creates a thread.
//!
//! One thread does prompt work that a caller waits for: the quota of an instance that listens, the
//! exit status of one that ended. Another cleans up and may lag while many instances end. A few
//! threads send stop signals, which may take some milliseconds for each instance. An instance has
//! at most four chores, so the queues hold at most four times `[sandbox] instances_max`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::Error;

/// Threads that send stop signals: a running process is inspected for some milliseconds.
const ASKING_MAX: usize = 4;

type Chore = Box<dyn FnOnce() + Send>;

/// The queues of the threads; the threads end when this is dropped and the queues are empty.
pub struct Chores {
    prompt: Sender<Chore>,
    cleanup: Sender<Chore>,
    ask: Sender<Chore>,
}

impl Chores {
    /// Starts the threads.
    pub fn start() -> Result<Self, Error> {
        let (prompt, cleanup) = (threads("settle", 1)?, threads("cleanup", 1)?);
        Ok(Self { prompt, cleanup, ask: threads("ask", ASKING_MAX)? })
    }

    /// Runs a stop request on a thread of its own kind, of which there are a fixed number. Returns
    /// whether the instance handles the signal.
    pub async fn ask(&self, ask: impl FnOnce() -> bool + Send + 'static) -> bool {
        let (heeds, answer) = oneshot::channel();
        hand_over(&self.ask, move || {
            // The receiver may be gone.
            let _ = heeds.send(ask());
        });
        answer.await.unwrap_or(false)
    }

    /// Queues work that a caller waits for.
    pub fn prompt(&self, chore: impl FnOnce() + Send + 'static) {
        hand_over(&self.prompt, chore);
    }

    /// Queues work without a deadline.
    pub fn cleanup(&self, chore: impl FnOnce() + Send + 'static) {
        hand_over(&self.cleanup, chore);
    }
}

fn hand_over(queue: &Sender<Chore>, chore: impl FnOnce() + Send + 'static) {
    // The thread outlives the queue: its failure ends the process.
    if queue.send(Box::new(chore)).is_err() {
        tracing::error!("a cleanup thread of the sandbox is gone; a resource is left behind");
    }
}

/// Starts a number of threads for one queue.
fn threads(name: &'static str, count: usize) -> Result<Sender<Chore>, Error> {
    let (sender, receiver) = channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..count {
        let receiver = receiver.clone();
        let work = move || supervisor::essential_thread(name, || work(&receiver));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        thread.map_err(Error::path("start the thread", name))?;
    }
    Ok(sender)
}

fn work(chores: &Mutex<Receiver<Chore>>) {
    loop {
        // The lock covers the wait only.
        let next = chores.lock().recv();
        let Ok(chore) = next else { return };
        // A panic ends this chore alone; its waiter sees the channel close.
        if std::panic::catch_unwind(AssertUnwindSafe(chore)).is_err() {
            tracing::error!("a chore of an instance panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_are_asked_at_once_as_there_are_threads_and_one_that_panics_heeds_nothing() {
        let chores = Arc::new(Chores::start().expect("threads"));
        // Each chore waits for all others.
        let all = Arc::new(std::sync::Barrier::new(ASKING_MAX));
        let asked: Vec<_> = (0..ASKING_MAX)
            .map(|number| {
                let (chores, all) = (chores.clone(), all.clone());
                let ask = move || {
                    all.wait();
                    assert_ne!(number, 1, "it panics");
                    true
                };
                tokio::spawn(async move { chores.ask(ask).await })
            })
            .collect();
        let mut heeds = Vec::new();
        for answer in asked {
            heeds.push(answer.await.expect("answered"));
        }
        assert_eq!(heeds, [true, false, true, true]);
        assert!(chores.ask(|| true).await, "the thread goes on");
    }

    #[test]
    fn chores_are_done_in_order_also_after_one_that_panics() {
        let chores = Chores::start().expect("threads");
        let (done, order) = channel();
        for number in 0..3 {
            let done = done.clone();
            chores.cleanup(move || {
                assert_ne!(number, 1, "it panics");
                done.send(number).expect("it is waited for");
            });
        }
        let urgent = done.clone();
        chores.prompt(move || urgent.send(9).expect("it is waited for"));
        drop((chores, done));
        let mut order: Vec<i32> = order.iter().collect();
        order.retain(|number| *number != 9);
        assert_eq!(order, [0, 2]);
    }
}
