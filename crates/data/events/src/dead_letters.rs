//! Dead letters: listed, redriven at a limited rate, purged.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rusqlite::Connection;
use types::RequestId;

use crate::dispatcher::{Queue, now_ms};
use crate::error::Error;
use crate::event::{DeadLetter, DeadLetters};
use crate::handle::Events;
use crate::room::Room;
use crate::sqlite::{dead, deliveries, insert};

/// `MsgTTL` of a dead letter that is redriven, from when it is due.
const REDRIVE_TTL_S: u32 = 6 * 3600;
/// Dead letters that one commit purges or redrives.
const COMMIT_ROWS: usize = 200;

/// The rows of one redrive.
#[derive(Default)]
struct Redriven {
    /// Room taken by events, and when each is due.
    events: Vec<(Room, i64)>,
    /// How many of them are deliveries.
    deliveries: u64,
}

type Taken = Arc<Mutex<Redriven>>;

impl Events {
    /// A page of dead letters, oldest first, after the row of the page before (0 for the first).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn dead_letters(&self, of: DeadLetters, after: u64, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.read(move |connection| dead::list(connection, &of, after, limit)).await
    }

    /// Every death of an event, oldest first, and its payload if it is a dead letter now; empty
    /// when it never was one, or its letters are no longer kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn dead_letter(&self, id: &RequestId) -> Result<(Vec<DeadLetter>, Option<Bytes>), Error> {
        let id = id.clone();
        self.read(move |connection| Ok((dead::history(connection, &id)?, dead::payload(connection, &id)?))).await
    }

    /// Redrives a dead letter, as a new delivery of the same id and bytes: its attempts and its
    /// time to live are reset. At most [`Config::redrive_per_second_max`](crate::Config) are due
    /// within a second.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::FunctionGone`], [`Error::Full`], or when it cannot be written.
    pub async fn redrive(&self, id: &RequestId) -> Result<(), Error> {
        let (queue, id, now) = (Arc::clone(&self.queue), id.clone(), now_ms());
        self.redrive_by(move |connection, taken| redrive(&queue, connection, &id, now, taken)).await
    }

    /// Redrives all current matching dead letters; returns how many. Those for which the queue has
    /// no room, and those whose function was deleted, stay dead letters.
    ///
    /// # Errors
    /// [`Error::Full`] when none has room, [`Error::FunctionGone`] when the functions of all were
    /// deleted, or when they cannot be written.
    pub async fn redrive_all(&self, of: DeadLetters) -> Result<usize, Error> {
        let newest = self.read(dead::newest).await?;
        let (mut after, mut redriven, mut gone) = (0, 0, None);
        loop {
            let page = self.dead_letters(of.clone(), after, COMMIT_ROWS).await?;
            let page: Vec<_> = page.into_iter().filter(|letter| letter.row <= newest).collect();
            let Some(last) = page.last() else {
                return gone.filter(|_| redriven == 0).map_or(Ok(redriven), Err);
            };
            after = last.row;
            let (queue, now) = (Arc::clone(&self.queue), now_ms());
            let some = self.redrive_by(move |connection, taken| {
                let (mut some, mut gone) = (0, None);
                for letter in &page {
                    match redrive(&queue, connection, &letter.request_id, now, taken) {
                        Ok(()) => some += 1,
                        // Redriven or purged since it was listed.
                        Err(Error::NotFound(_)) => {}
                        Err(without @ Error::FunctionGone { .. }) => gone = gone.or(Some(without)),
                        Err(full @ Error::Full { .. }) if some == 0 => return Err(full),
                        Err(Error::Full { .. }) => return Ok((some, true, gone)),
                        Err(error) => return Err(error),
                    }
                }
                Ok((some, false, gone))
            });
            match some.await {
                Ok((some, is_full, without)) => {
                    redriven += some;
                    gone = gone.or(without);
                    if is_full {
                        return Ok(redriven);
                    }
                }
                Err(Error::Full { .. }) if redriven > 0 => return Ok(redriven),
                Err(error) => return Err(error),
            }
        }
    }

    async fn redrive_by<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Taken) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let taken = Taken::default();
        let kept = Arc::clone(&taken);
        let queue = Arc::clone(&self.queue);
        let settled = move |done: &Result<T, Error>| {
            if done.is_ok() {
                let mut kept = kept.lock();
                queue.deliveries.added(kept.deliveries);
                kept.events.iter_mut().for_each(|(room, due_ms)| room.keep(*due_ms));
            }
        };
        self.queue.writer.write_then(0, move |connection| work(connection, &taken), settled).await
    }

    /// Removes a dead letter and the history of its event.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when it cannot be removed.
    pub async fn purge_one(&self, id: &RequestId) -> Result<(), Error> {
        let id = id.clone();
        self.queue.writer.write(0, move |connection| dead::purge_one(connection, &id)).await
    }

    /// Removes all current matching dead letters and returns how many there were.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub async fn purge(&self, of: DeadLetters) -> Result<usize, Error> {
        let newest = self.read(dead::newest).await?;
        let mut removed = 0;
        loop {
            let of = of.clone();
            let some = self.queue.writer.write(0, move |connection| dead::purge(connection, &of, newest, COMMIT_ROWS));
            let some = some.await?;
            removed += some;
            if some < COMMIT_ROWS {
                return Ok(removed);
            }
        }
    }
}

/// Moves a dead letter back to the waiting events, if there is room.
fn redrive(queue: &Arc<Queue>, connection: &Connection, id: &RequestId, now: i64, taken: &Taken) -> Result<(), Error> {
    let Some(bytes) = dead::payload(connection, id)?.map(|payload| payload.len()) else {
        return Err(Error::NotFound(id.clone()));
    };
    let Some(letter) = dead::history(connection, id)?.pop() else { return Err(Error::NotFound(id.clone())) };
    if let Some(delivery) = deliveries::take(connection, id, now)? {
        let delay_s = queue.redrives.lock().delay_s(now, queue.config.redrive_per_second_max);
        let due_ms = now + i64::from(delay_s) * 1000;
        deliveries::insert(connection, &delivery, due_ms, queue.config.delivery_ttl_s)?;
        taken.lock().deliveries += 1;
        return Ok(());
    }
    if queue.run.function(&letter.address.function).is_none_or(|(named, _)| named != letter.address.function_id) {
        return Err(Error::FunctionGone { id: id.clone(), function: letter.address.function });
    }
    // Before the letter is taken: one without room stays a dead letter.
    let room = Room::take(queue, letter.address.function, dead::trigger(connection, id)?, bytes)?;
    let (mut event, origin) = dead::take(connection, id, now, REDRIVE_TTL_S)?;
    event.delay_s = queue.redrives.lock().delay_s(now, queue.config.redrive_per_second_max);
    insert::insert(connection, &event, &origin, now)?;
    taken.lock().events.push((room, now + i64::from(event.delay_s) * 1000));
    Ok(())
}
