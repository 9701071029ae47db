//! Runs the timers of all functions: one task owns the schedule, another commits their events.

mod agenda;
mod clock;
mod delivery;
mod task;
mod waiting;

use std::sync::Mutex;

use store::Store;
use supervisor::essential;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::kinds::Sources;

pub use clock::Clock;

/// The timers of all functions; they run until their token is cancelled.
pub struct Timers {
    tasks: TaskTracker,
}

impl Timers {
    /// Starts to run the timers of the store's catalog. The last time that each missed while no
    /// platform ran is caught up once, within the start deadline. Must be called within a Tokio
    /// runtime.
    pub fn start(
        sources: Sources,
        store: Store,
        events: events::Events,
        clock: Clock,
        stop: CancellationToken,
    ) -> Self {
        let tasks = TaskTracker::new();
        let (ticks, received) = mpsc::channel(sources.config().timer_commits_max);
        let delivery = delivery::Delivery {
            sources: sources.clone(),
            events: events.clone(),
            clock: clock.clone(),
            deadline_ms: deadline_ms(&sources),
            stop: stop.clone(),
            waiting: Mutex::default(),
            commits: Semaphore::new(sources.config().timer_commits_max),
        };
        tasks.spawn(essential("timers delivery", delivery::run(delivery, received)));
        let owner = task::Owner { sources, store, events, clock, ticks };
        tasks.spawn(essential("timers", task::run(owner, stop)));
        tasks.close();
        Self { tasks }
    }

    /// Waits until all ticks in progress are committed or given up, after the token was cancelled.
    pub async fn join(&self) {
        self.tasks.wait().await;
    }
}

fn deadline_ms(sources: &Sources) -> i64 {
    i64::try_from(sources.config().timer_start_deadline_s.saturating_mul(1000)).unwrap_or(i64::MAX)
}
