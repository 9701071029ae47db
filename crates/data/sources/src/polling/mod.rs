//! Polls buckets whose stores send no notifications: one task keeps the schedule, each pass is a
//! task of its own.

mod agenda;
mod pass;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use events::Events;
use formats::object::listing::Seen;
use object_store::Connection;
use supervisor::restarting;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{Installation, SharedCatalog, TriggerId};

use self::agenda::{Agenda, Polled};
use crate::kinds::Sources;

/// Longest time until a new trigger is noticed.
const LOOK: Duration = Duration::from_secs(1);

/// Dependencies of polling.
#[derive(Clone)]
pub struct PollingParts {
    /// The limits of triggers.
    pub sources: Sources,
    /// The triggers.
    pub catalog: SharedCatalog,
    /// The event queue.
    pub events: Events,
    /// Stores by their names.
    pub connections: Arc<BTreeMap<String, Connection>>,
    /// The installation's identity in events.
    pub installation: Installation,
}

/// The running task.
#[derive(Debug)]
pub struct Polling {
    tasks: TaskTracker,
}

impl Polling {
    /// Polls until `shutdown`; passes in progress are aborted then, and restart at the next start.
    pub fn start(parts: PollingParts, shutdown: CancellationToken) -> Self {
        let tasks = TaskTracker::new();
        let config = parts.sources.config();
        let limits = Limits { polls_max: config.polls_max, pages_max: config.poll_pages_max };
        tasks.spawn(restarting("polling of buckets", move || run(parts.clone(), limits, shutdown.clone())));
        tasks.close();
        Self { tasks }
    }

    /// Resolves when it has stopped.
    pub async fn join(self) {
        self.tasks.wait().await;
    }
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    polls_max: usize,
    pages_max: usize,
}

/// A pass that ended, and the objects that it saw.
type Ended = (TriggerId, Seen);

async fn run(parts: PollingParts, limits: Limits, shutdown: CancellationToken) {
    let mut agenda = Agenda::default();
    let mut seen: HashMap<TriggerId, Seen> = HashMap::new();
    let mut passes: JoinSet<Ended> = JoinSet::new();
    let mut revision = None;
    loop {
        let catalog = parts.catalog.load();
        if revision != Some(catalog.revision) {
            revision = Some(catalog.revision);
            for gone in agenda.follow(&catalog.functions, &parts.installation.app_id, Instant::now()) {
                seen.remove(&gone);
                // Without its trigger a mark is an unused row.
                if let Err(error) = parts.events.forget_mark(gone.as_str()).await {
                    tracing::warn!(trigger = gone.as_str(), %error, "cannot delete the mark of a removed trigger");
                }
            }
        }
        drop(catalog);
        for polled in agenda.take_due(Instant::now(), limits.polls_max.saturating_sub(passes.len())) {
            let seen = seen.remove(&polled.trigger.id).unwrap_or_default();
            passes.spawn(look(parts.clone(), limits.pages_max, polled, seen));
        }
        let look = Instant::now() + LOOK;
        // With the maximum of passes running, only the end of one matters.
        let next_due = agenda.next_due().filter(|_| passes.len() < limits.polls_max);
        let wake = next_due.map_or(look, |due| due.min(look));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep_until(wake) => {}
            Some(ended) = passes.join_next() => match ended {
                Ok((id, saw)) => {
                    if agenda.ended(&id, Instant::now()) {
                        seen.insert(id, saw);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a pass over a bucket failed");
                    agenda.all_ended(Instant::now());
                }
            }
        }
    }
}

async fn look(parts: PollingParts, pages_max: usize, polled: Polled, mut seen: Seen) -> Ended {
    let id = polled.trigger.id.clone();
    match pass::run(&parts, pages_max, &polled, &mut seen).await {
        Ok(0) => {}
        Ok(events) => tracing::debug!(trigger = id.as_str(), events, "new objects"),
        Err(error) => {
            // The innermost one has the kernel's message: those around it add nothing to `error`.
            let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
            let cause = causes.last().map(ToString::to_string);
            let (function, bucket) = (polled.function.key.to_string(), &polled.objects.bucket);
            tracing::warn!(function, bucket, %error, cause, "cannot list a bucket; the next pass begins again");
        }
    }
    (id, seen)
}
