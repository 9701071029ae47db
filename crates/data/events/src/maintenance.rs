//! Renews the claims of running events, and removes expired and excess rows.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use crate::dispatcher::{Queue, now_ms};
use crate::error::Error;
use crate::sqlite::{claim, dead, finish, source_keys};

/// Interval of pruning, and rows per commit: acceptances wait for the same commit.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_ROWS: usize = 100;

/// Runs until the queue stops; counts results on a reader of its own.
pub(crate) async fn run(queue: Arc<Queue>, reader: Arc<Mutex<Connection>>) {
    let mut renewals = tokio::time::interval(queue.config.lease() / 3);
    let mut prunings = tokio::time::interval(PRUNE_EVERY);
    loop {
        tokio::select! {
            biased;
            () = queue.stop.cancelled() => return,
            _ = renewals.tick() => renew(&queue).await,
            _ = prunings.tick() => prune(&queue, &reader).await,
            () = queue.results.large.notified() => prune(&queue, &reader).await,
        }
    }
}

async fn renew(queue: &Queue) {
    if queue.runs.is_empty() {
        return;
    }
    let (owner, until) = (queue.owner.clone(), now_ms() + queue.config.lease().as_millis() as i64);
    if let Err(error) = queue.writer.write(0, move |connection| claim::renew(connection, &owner, until)).await {
        tracing::warn!(%error, "cannot renew the claims of running events");
    }
}

async fn prune(queue: &Queue, reader: &Arc<Mutex<Connection>>) {
    let (states, results) = (queue.config.states_s as i64 * 1000, queue.config.results_s as i64 * 1000);
    queue.results.reset();
    let (reader, bytes_max) = (Arc::clone(reader), queue.config.results_bytes_max);
    let counted = spawn_blocking(move || finish::excess(&reader.lock(), bytes_max)).await;
    let excess = counted.unwrap_or(Err(Error::Stopping)).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot count the results of events");
        None
    });
    loop {
        let now = now_ms();
        let results_before = excess.map_or(i64::MIN, |ended_ms| ended_ms + 1).max(now - results);
        let pruned = queue.writer.write(0, move |connection| {
            let ended = finish::prune(connection, now - states, results_before, PRUNE_ROWS)?;
            let ended = ended.max(dead::prune(connection, now - states, PRUNE_ROWS)?);
            Ok(ended.max(source_keys::prune(connection, now, PRUNE_ROWS)?))
        });
        match pruned.await {
            Ok(rows) if rows >= PRUNE_ROWS => {}
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "cannot prune states of events"),
        }
    }
}
