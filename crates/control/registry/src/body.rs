//! Request bodies, read in chunks within a length limit and an idle timeout.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::CONTENT_LENGTH;
use http::request::Parts;

use crate::config::Config;
use crate::problem::{Code, Problem};

/// A request body that is being read.
pub(crate) struct Incoming {
    pieces: BodyDataStream,
    idle: Duration,
}

impl Incoming {
    pub(crate) fn new(body: Body, config: &Config) -> Self {
        Self { pieces: body.into_data_stream(), idle: config.body_idle() }
    }

    /// The next chunk; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match tokio::time::timeout(self.idle, self.pieces.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "client disconnected during its request body");
                Err(Problem::new(Code::BlobUploadInvalid, "the request ended before its body was complete"))
            }
            Err(_) => Err(Problem::new(
                Code::RequestTimeout,
                format!("nothing came for {} seconds (registry.body_idle_s); try again", self.idle.as_secs()),
            )),
        }
    }

    /// The whole body; `what` and the configuration key `key` name it and its limit in the error.
    pub(crate) async fn collect(mut self, what: &str, bytes_max: u64, key: &str) -> Result<Bytes, Problem> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if (whole.len() + piece.len()) as u64 > bytes_max {
                return Err(Problem::too_large(what, bytes_max, key));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

/// The declared length; `None` for a chunked body.
pub(crate) fn announced_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The first value of a query parameter.
pub(crate) fn query(parts: &Parts, key: &str) -> Option<String> {
    let query = parts.uri.query()?;
    form_urlencoded::parse(query.as_bytes()).find_map(|(k, value)| (k == key).then(|| value.into_owned()))
}
