//! Sends responses of the registry: whole, aborted, held, or slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::stream;
use tokio::sync::watch;

use super::{ReceivedRequest, RegistryState, Reply, Target};
use crate::blob::Blob;

/// A response without content.
pub(super) fn plain(status: u16, headers: &[(&str, String)]) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(Body::empty()).expect("tests name valid headers")
}

/// Sends content as the reply prescribes.
pub(super) fn deliver(
    state: &RegistryState,
    received: &ReceivedRequest,
    kind: &str,
    blob: &Blob,
    reply: Reply,
) -> Response {
    let whole = reply == Reply::Whole;
    let offset = received.offset.filter(|_| !whole);
    let from = offset.unwrap_or(0);
    if from > 0 && from >= blob.size {
        return plain(416, &[]);
    }
    let mut headers = HeaderMap::new();
    let mut set = |name, value: String| headers.insert(name, value.parse().expect("ASCII"));
    set(CONTENT_TYPE, kind.to_owned());
    set(CONTENT_LENGTH, (blob.size - from).to_string());
    if !whole {
        set(ACCEPT_RANGES, "bytes".to_owned());
    }
    if offset.is_some() {
        set(CONTENT_RANGE, format!("bytes {from}-{}/{}", blob.size - 1, blob.size));
    }
    if let Target::Manifest(_) = received.target {
        headers.insert("docker-content-digest", blob.digest.parse().expect("ASCII"));
    }
    let body = if received.head { Body::empty() } else { body(state, received, blob, from, reply) };
    let mut response = Response::new(body);
    *response.status_mut() = if offset.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    *response.headers_mut() = headers;
    response
}

/// The unsent part of a response.
struct Rest<I> {
    chunks: I,
    /// The unsent part of a truncated chunk.
    cut: Option<Bytes>,
    reply: Reply,
    /// Bytes of this response sent so far.
    answered: u64,
    sent: Arc<AtomicU64>,
    released: watch::Receiver<bool>,
}

fn body(state: &RegistryState, received: &ReceivedRequest, blob: &Blob, from: u64, reply: Reply) -> Body {
    let name = match &received.target {
        Target::Blob(digest) => digest.clone(),
        _ => blob.digest.clone(),
    };
    let sent = state.sent.lock().entry(name).or_default().clone();
    let released = state.released.subscribe();
    let rest = Rest { chunks: blob.chunks(from), cut: None, reply, answered: 0, sent, released };
    Body::from_stream(stream::unfold(rest, Rest::next))
}

impl<I: Iterator<Item = Bytes>> Rest<I> {
    async fn next(mut self) -> Option<(std::io::Result<Bytes>, Self)> {
        let mut chunk = self.cut.take().or_else(|| self.chunks.next())?;
        if let Reply::Break(after) | Reply::Hold(after) = self.reply {
            let left = usize::try_from(after - self.answered).unwrap_or(usize::MAX);
            if left == 0 && self.reply == Reply::Break(after) {
                // Lets the server flush the data already yielded.
                tokio::task::yield_now().await;
                return Some((Err(std::io::Error::other("the connection breaks, as the test wants")), self));
            }
            if left == 0 {
                // Also resolves when the registry is dropped.
                let _ = self.released.wait_for(|released| *released).await;
                self.reply = Reply::Good;
            } else if chunk.len() > left {
                self.cut = Some(chunk.split_off(left));
            }
        }
        if let Reply::Slow(bytes_per_s) = self.reply {
            tokio::time::sleep(Duration::from_secs_f64(chunk.len() as f64 / bytes_per_s as f64)).await;
        }
        self.answered += chunk.len() as u64;
        self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        Some((Ok(chunk), self))
    }
}
