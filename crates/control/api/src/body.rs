//! Reads request bodies within limits that depend on the authentication of the head. Memory is
//! allocated as bytes arrive; a declared length reserves nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http::header::EXPECT;
use http::request::Parts;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::{ApiError, ErrorCode};

use crate::config::Config;

/// Unit of the byte quotas for bodies, and the minimum that a call counts for.
const HELD_UNIT_BYTES: usize = 64 << 10;

/// Byte quotas for the bodies of all calls in flight.
pub(crate) struct Rooms {
    signed: Room,
    unsigned: Room,
}

struct Room {
    units: Arc<Semaphore>,
    bytes_max: usize,
    key: &'static str,
}

impl Rooms {
    pub(crate) fn new(config: &Config) -> Self {
        let room = |bytes_max: usize, key| {
            let units = Arc::new(Semaphore::new((bytes_max / HELD_UNIT_BYTES).max(1)));
            Room { units, bytes_max, key }
        };
        Self {
            signed: room(config.held_bytes_max, "held_bytes_max"),
            unsigned: room(config.unsigned_held_bytes_max, "unsigned_held_bytes_max"),
        }
    }
}

impl Rooms {
    /// Charges a body with a verified signature to the quota of signed bodies.
    pub(crate) fn vouch(&self, bytes: usize) -> Result<Held, ApiError> {
        let mut held = self.signed.enter()?;
        self.signed.grow(&mut held, bytes)?;
        Ok(held)
    }
}

impl Room {
    fn enter(&self) -> Result<Held, ApiError> {
        let units = self.units.clone().try_acquire_owned().map_err(|_| self.full())?;
        Ok(Held(units))
    }

    /// Acquires the units that `bytes` need beyond those of `held`.
    fn grow(&self, held: &mut Held, bytes: usize) -> Result<(), ApiError> {
        let missing = bytes.div_ceil(HELD_UNIT_BYTES).saturating_sub(held.0.num_permits());
        if missing > 0 {
            let units = u32::try_from(missing).unwrap_or(u32::MAX);
            held.0.merge(self.units.clone().try_acquire_many_owned(units).map_err(|_| self.full())?);
        }
        Ok(())
    }

    fn full(&self) -> ApiError {
        let Self { bytes_max, key, .. } = self;
        let message = format!("the bodies of calls under way hold {bytes_max} bytes already, [api] {key}; try again");
        ApiError::new(ErrorCode::REQUEST_LIMIT_EXCEEDED, message)
    }
}

/// The units of a body; released on drop.
pub(crate) struct Held(OwnedSemaphorePermit);

/// Authentication of a body by the request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vouched {
    /// The head names an existing key and a time within the clock window.
    ByHead,
    /// The signature is in the body.
    ByItself,
    /// The body is not used.
    Unused,
}

/// Reads the whole body.
pub(crate) async fn read(
    body: Body,
    vouched: Vouched,
    rooms: &Rooms,
    config: &Config,
) -> Result<(Bytes, Option<Held>), ApiError> {
    let (room, wait_ms_max) = match vouched {
        Vouched::ByHead => (&rooms.signed, config.body_wait_ms_max),
        Vouched::ByItself => (&rooms.unsigned, config.unsigned_body_wait_ms_max),
        Vouched::Unused => return Ok((Bytes::new(), None)),
    };
    let mut held = room.enter()?;
    match tokio::time::timeout(Duration::from_millis(wait_ms_max), collect(body, vouched, room, &mut held, config))
        .await
    {
        Ok(read) => Ok((read?, Some(held))),
        Err(_) => {
            let message = format!("the body of the request did not arrive within {wait_ms_max} ms");
            Err(ApiError::new(ErrorCode::INVALID_REQUEST, message))
        }
    }
}

/// Reads a body. One over its limit is discarded up to a second limit: a client that is cut off
/// while it sends would see a broken connection instead of the error.
async fn collect(
    mut body: Body,
    vouched: Vouched,
    room: &Room,
    held: &mut Held,
    config: &Config,
) -> Result<Bytes, ApiError> {
    let bytes_max = match vouched {
        Vouched::ByItself => config.v1_body_bytes_max.min(config.body_bytes_max),
        Vouched::ByHead | Vouched::Unused => config.body_bytes_max,
    };
    let mut read = BytesMut::new();
    let mut discarded = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::new(ErrorCode::INVALID_REQUEST, format!("the body of the request broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        match &mut discarded {
            None if read.len() + data.len() <= bytes_max => {
                room.grow(held, read.len() + data.len())?;
                read.extend_from_slice(&data);
            }
            None => {
                discarded = Some(data.len());
                read = BytesMut::new();
            }
            Some(bytes) => *bytes += data.len(),
        }
        if discarded.is_some_and(|bytes| bytes > config.discarded_bytes_max) {
            break;
        }
    }
    match discarded {
        None => Ok(read.freeze()),
        Some(_) if vouched == Vouched::ByItself => Err(form_too_large(config)),
        Some(_) => Err(too_large("the body of the request", config.body_bytes_max, "body_bytes_max")),
    }
}

/// Discards what a refused client is still sending, so that the client reads the answer. Buffers
/// nothing and ends at the first pause.
pub(crate) async fn discard(parts: &Parts, mut body: Body, rooms: &Rooms, config: &Config) {
    // A client that sent `Expect` waits for the interim answer before its body.
    if body.is_end_stream() || parts.headers.contains_key(EXPECT) {
        return;
    }
    // Shares the quota of unsigned bodies, which bounds both together.
    let Ok(_held) = rooms.unsigned.enter() else { return };
    let pause = Duration::from_millis(config.discard_pause_ms_max);
    let read = async {
        let mut bytes = 0;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(pause, body.frame()).await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > config.discarded_bytes_max {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_millis(config.discard_ms_max), read).await.ok();
}

pub(crate) fn too_large(what: &str, bytes_max: usize, key: &str) -> ApiError {
    ApiError::new(
        ErrorCode::REQUEST_SIZE_LIMIT_EXCEEDED,
        format!("{what} is longer than the limit of {bytes_max} bytes, [api] {key}"),
    )
}

fn form_too_large(config: &Config) -> ApiError {
    let message = format!(
        "the body is longer than the limit of {} bytes, [api] v1_body_bytes_max, for requests signed with HmacSHA1 or \
         HmacSHA256; sign with TC3-HMAC-SHA256",
        config.v1_body_bytes_max
    );
    ApiError::new(ErrorCode::REQUEST_SIZE_LIMIT_EXCEEDED, message)
}
