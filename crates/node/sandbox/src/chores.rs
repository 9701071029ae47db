//! What follows a start and an end: two threads with a queue each, made once, so that no start and
//! no end makes a thread of its own.
//!
//! One has what somebody waits for: the quota of an instance that listens, how one ended. The other
//! cleans up, and may be behind while many end. An instance has at most three chores, so the
//! queues hold at most three times `[sandbox] instances_max`.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::Semaphore;

use crate::error::Error;

/// Instances that are asked to end at once: one that runs is looked at for some milliseconds.
const ASKING_MAX: usize = 4;

type Chore = Box<dyn FnOnce() + Send>;

/// The queues of the two threads, which end when this goes and all is done.
pub struct Chores {
    prompt: Sender<Chore>,
    cleanup: Sender<Chore>,
    asking: Semaphore,
}

impl Chores {
    /// Starts the threads.
    pub fn start() -> Result<Self, Error> {
        Ok(Self { prompt: thread("settle")?, cleanup: thread("cleanup")?, asking: Semaphore::new(ASKING_MAX) })
    }

    /// Asks an instance to end, on a thread of the runtime, which may take its time; how many are
    /// asked at once is bounded. Returns whether it heeds that.
    pub async fn ask(&self, ask: impl FnOnce() -> bool + Send + 'static) -> bool {
        // Never closed.
        let _turn = self.asking.acquire().await;
        tokio::task::spawn_blocking(ask).await.unwrap_or(false)
    }

    /// Has done what somebody waits for.
    pub fn prompt(&self, chore: impl FnOnce() + Send + 'static) {
        hand_over(&self.prompt, chore);
    }

    /// Has done what can wait.
    pub fn cleanup(&self, chore: impl FnOnce() + Send + 'static) {
        hand_over(&self.cleanup, chore);
    }
}

fn hand_over(queue: &Sender<Chore>, chore: impl FnOnce() + Send + 'static) {
    // Its thread lives as long as the queue: it ends the process when it cannot go on.
    if queue.send(Box::new(chore)).is_err() {
        tracing::error!("a thread of the sandbox is gone; something is left to be cleaned up");
    }
}

fn thread(name: &'static str) -> Result<Sender<Chore>, Error> {
    let (sender, receiver) = channel();
    let work = move || supervisor::essential_thread(name, || work(&receiver));
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(Error::path("start the thread", name))?;
    Ok(sender)
}

fn work(chores: &Receiver<Chore>) {
    for chore in chores {
        // A panic ends this chore alone; what waits for it learns that it will not be done.
        if std::panic::catch_unwind(AssertUnwindSafe(chore)).is_err() {
            tracing::error!("a chore of an instance panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
