//! Acceptance: room, source keys, and the commit after which an event is accepted.

use rusqlite::Connection;
use types::{FunctionId, TriggerId};

use crate::dispatcher::now_ms;
use crate::error::Error;
use crate::event::{Accepted, NewEvent, SourceKey};
use crate::handle::Events;
use crate::room::Room;
use crate::sqlite::{insert, source_keys};

impl Events {
    /// Accepts an event: it is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::DiskNearlyFull`], [`Error::Duplicate`], or when it cannot be
    /// written.
    pub async fn accept(&self, event: NewEvent) -> Result<(), Error> {
        self.insert(event, None, insert::Origin::default()).await.map(drop)
    }

    /// Accepts an event with a source key: one whose key is stored already is not accepted again.
    /// Keys are kept for `Config::dedup_s`, per function.
    ///
    /// # Errors
    /// Those of [`Events::accept`].
    pub async fn accept_once(&self, event: NewEvent, key: SourceKey) -> Result<Accepted, Error> {
        self.accept_from(event, Some(key), insert::Origin::default()).await
    }

    /// Accepts an event whose result is posted to a URL when it ends: its host must be allowed in
    /// `[outbound]` of the settings.
    ///
    /// # Errors
    /// Those of [`Events::accept`], or [`Error::Callback`].
    pub async fn accept_with_callback(
        &self,
        event: NewEvent,
        key: Option<SourceKey>,
        callback: &str,
    ) -> Result<Accepted, Error> {
        let url = self.queue.outbound.check(callback).map_err(Error::Callback)?;
        let origin = insert::Origin { callback: Some(url.into()), ..insert::Origin::default() };
        self.accept_from(event, key, origin).await
    }

    /// Accepts an event of a trigger: at most its `concurrency` of one trigger's events run at
    /// once.
    ///
    /// # Errors
    /// Those of [`Events::accept`].
    pub async fn accept_of_trigger(
        &self,
        event: NewEvent,
        trigger: &TriggerId,
        key: Option<SourceKey>,
    ) -> Result<Accepted, Error> {
        let origin = insert::Origin { trigger: Some(trigger.clone()), ..insert::Origin::default() };
        self.accept_from(event, key, origin).await
    }

    async fn accept_from(
        &self,
        event: NewEvent,
        key: Option<SourceKey>,
        origin: insert::Origin,
    ) -> Result<Accepted, Error> {
        let (function, of) = (event.address.function_id.clone(), key.clone());
        let inserted = self.insert(event, key, origin).await;
        match of {
            Some(of) => self.once(inserted, function, of).await,
            None => inserted,
        }
    }

    async fn once(
        &self,
        inserted: Result<Accepted, Error>,
        function: FunctionId,
        of: SourceKey,
    ) -> Result<Accepted, Error> {
        match inserted {
            // A client that repeats an accepted event is not refused for lack of room.
            Err(error @ (Error::Full { .. } | Error::DiskNearlyFull { .. })) => {
                let found = self.read(move |connection| source_keys::find(connection, &function, &of, now_ms())).await;
                found.ok().flatten().map(Accepted::Before).ok_or(error)
            }
            other => other,
        }
    }

    async fn insert(&self, event: NewEvent, key: Option<SourceKey>, origin: insert::Origin) -> Result<Accepted, Error> {
        let inserted = self.try_insert(event, key, origin).await;
        inserted.inspect_err(|error| self.refusals.note(error))
    }

    async fn try_insert(
        &self,
        event: NewEvent,
        key: Option<SourceKey>,
        origin: insert::Origin,
    ) -> Result<Accepted, Error> {
        self.check_open()?;
        let (function, bytes) = (event.address.function.clone(), event.payload.len());
        let mut room = Room::take(&self.queue, function, origin.trigger.clone(), bytes)?;
        let now = now_ms();
        let due_ms = now + i64::from(event.delay_s) * 1000;
        let keys_until_ms = now.saturating_add(self.queue.config.dedup_s as i64 * 1000);
        let origin = insert::Origin { depth: self.depth, ..origin };
        let insert = move |connection: &Connection| {
            if let Some(key) = &key {
                let function = &event.address.function_id;
                if let Some(first) = source_keys::find(connection, function, key, now)? {
                    return Ok(Accepted::Before(first));
                }
                source_keys::keep(connection, function, key, &event.request_id, keys_until_ms)?;
            }
            insert::insert(connection, &event, &origin, now)?;
            Ok(Accepted::New)
        };
        let settled = move |inserted: &Result<Accepted, Error>| {
            if matches!(inserted, Ok(Accepted::New)) {
                room.keep(due_ms);
            }
        };
        let accepted = self.queue.writer.write_then(bytes, insert, settled).await?;
        if accepted == Accepted::New {
            metrics::counter!("sampan_events_accepted_total").increment(1);
        }
        Ok(accepted)
    }

    /// Refuses events that could not be stored.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        match self.halted() {
            Some(why) => Err(Error::Halted(why)),
            None => self.check_disk(),
        }
    }

    fn check_disk(&self) -> Result<(), Error> {
        let min = self.queue.config.disk_free_bytes_min;
        // If the file system's free space cannot be read, it is not assumed to be full: the commit
        // decides.
        let Ok(status) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let free = status.f_bavail.saturating_mul(status.f_frsize);
        if free < min { Err(Error::DiskNearlyFull { free, min }) } else { Ok(()) }
    }
}
