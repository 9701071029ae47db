//! The body of an asynchronous call: buffered, within a common limit of all such bodies.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::AsyncError;
use crate::error_response::RequestError;
use crate::request_body::RequestBody;

/// The unit of accounting, and the minimum per request.
const UNIT_BYTES: usize = 64 << 10;

/// Memory budget for bodies in flight.
#[derive(Debug)]
pub struct Room {
    units: Arc<Semaphore>,
    bytes_max: usize,
}

/// The limit of a body.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The owner of the body, for the error message.
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

/// A complete body, and its part of the budget until this is dropped.
pub struct Held {
    pub bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Room {
    /// A budget of `bytes_max`.
    pub fn new(bytes_max: usize) -> Self {
        let units = (bytes_max / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), bytes_max }
    }

    /// Reads a body; the budget is taken as bytes arrive, not by the announced length.
    pub async fn read(&self, mut body: RequestBody<Incoming>, limit: Limit) -> Result<Held, RequestError> {
        let Limit { what, bytes_max, limit } = limit;
        let too_large = || RequestError::Async(AsyncError::TooLarge { what, bytes_max, limit });
        // An announced length over the limit is refused before the client sends the body.
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
