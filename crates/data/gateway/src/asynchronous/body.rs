//! The body of an asynchronous call: read whole, within what all such bodies may hold together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::AsyncError;
use crate::error_response::RequestError;
use crate::request_body::RequestBody;

/// The unit in which room is counted, and what a request counts for at least.
const UNIT_BYTES: usize = 64 << 10;

/// Room for bodies under way.
#[derive(Debug)]
pub struct Room {
    units: Arc<Semaphore>,
    bytes_max: usize,
}

/// What a body may have.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Whose body it is.
    pub what: &'static str,
    /// The limit.
    pub bytes_max: usize,
    /// Its setting, or the contract.
    pub limit: &'static str,
}

impl Limit {
    /// The same, or the limit of the route where that is lower.
    pub fn within_route(self, of_route: Option<u64>) -> Self {
        match of_route.and_then(|bytes| usize::try_from(bytes).ok()) {
            Some(bytes_max) if bytes_max < self.bytes_max => {
                Self { bytes_max, limit: "setting body_bytes_max of [[gateway.limits]]", ..self }
            }
            _ => self,
        }
    }
}

/// A whole body, and the room that it takes until this is dropped.
pub struct Held {
    pub bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Room {
    /// Room for `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        let units = (bytes_max / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), bytes_max }
    }

    /// Reads a body; room is taken as bytes arrive, and a length that was announced takes none.
    pub async fn read(&self, mut body: RequestBody<Incoming>, limit: Limit) -> Result<Held, RequestError> {
        let Limit { what, bytes_max, limit } = limit;
        let too_large = || RequestError::Async(AsyncError::TooLarge { what, bytes_max, limit });
        // What was announced is refused before the client sends it all.
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large());
        }
        let mut room = self.take(1)?;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(RequestError::Body)?.into_data() else { continue };
            let bytes = whole.len() + data.len();
            if bytes > bytes_max {
                return Err(too_large());
            }
            let missing = bytes.div_ceil(UNIT_BYTES).saturating_sub(room.num_permits());
            if missing > 0 {
                room.merge(self.take(missing)?);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Held { bytes: whole.freeze(), _room: room })
    }

    fn take(&self, units: usize) -> Result<OwnedSemaphorePermit, RequestError> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let full = |_| RequestError::Async(AsyncError::Held { max: self.bytes_max });
        Arc::clone(&self.units).try_acquire_many_owned(units).map_err(full)
    }
}
