//! Acceptance of many events at once, each with its index.

use rusqlite::Connection;
use types::RequestId;
use types::job::ArrayPlace;

use crate::dispatcher::now_ms;
use crate::error::Error;
use crate::event::NewEvent;
use crate::handle::Events;
use crate::room::Room;
use crate::sqlite::insert;

impl Events {
    /// Accepts an event `size` times in one commit, all or none, and returns their ids: that of the
    /// event itself first.
    ///
    /// # Errors
    /// Those of [`Events::accept`].
    pub async fn accept_array(&self, event: NewEvent, size: u32) -> Result<Vec<RequestId>, Error> {
        self.check_open()?;
        let (function, bytes) = (event.address.function.clone(), event.payload.len());
        let rooms = (0..size).map(|_| Room::take(&self.queue, function.clone(), None, bytes));
        let mut rooms = rooms.collect::<Result<Vec<_>, _>>()?;
        let mut ids = vec![event.request_id.clone()];
        ids.resize_with(size as usize, RequestId::random);
        let now = now_ms();
        let due_ms = now + i64::from(event.delay_s) * 1000;
        let (given, depth) = (ids.clone(), self.depth);
        let insert = move |connection: &Connection| {
            for (request_id, index) in ids.into_iter().zip(0..) {
                let array = Some(ArrayPlace { index, size });
                let origin = insert::Origin { array, depth, ..insert::Origin::default() };
                insert::insert(connection, &NewEvent { request_id, ..event.clone() }, &origin, now)?;
            }
            Ok(())
        };
        let settled = move |inserted: &Result<(), Error>| {
            if inserted.is_ok() {
                rooms.iter_mut().for_each(|room| room.keep(due_ms));
            }
        };
        self.queue.writer.write_then(bytes * size as usize, insert, settled).await?;
        metrics::counter!("sampan_events_accepted_total").increment(u64::from(size));
        Ok(given)
    }
}
