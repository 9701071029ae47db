//! Transfers one blob from a registry to a [`Sink`]: resumes after a broken connection, and
//! verifies the length, and for mirrors the digest.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};
use types::Digest;

use crate::Error;
use crate::request::{Request, Resource};
use crate::retry::Failure;
use crate::session::{Answer, Session};
use crate::throughput::{Throughput, TooSlow};
use crate::transport::failure_of;

/// Result of a transfer attempt.
enum Ended {
    /// All bytes were received.
    Whole,
    /// The connection broke.
    Early(Failure, Option<reqwest::Error>),
    /// It was slower than the minimum throughput.
    Slow(TooSlow),
}

/// The destination of a blob's bytes.
pub trait Sink: Send {
    /// The error of a rejected write.
    type Error: Send;

    /// Number of bytes received.
    fn offset(&self) -> u64;

    /// Writes the next bytes.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Discards all bytes.
    fn restart(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Whether an error is caused by the received bytes: those of a mirror are then requested from
    /// the registry itself.
    fn is_content_error(error: &Self::Error) -> bool;
}

/// An error of a transfer.
#[derive(Debug)]
pub enum TransferError<E> {
    /// The registry or the connection to it.
    Registry(Error),
    /// The sink.
    Sink(E),
}

impl<E> From<Error> for TransferError<E> {
    fn from(error: Error) -> Self {
        Self::Registry(error)
    }
}

/// The received bytes of a blob, hashed if a mirror may have sent them: a blob with a wrong digest
/// is requested again from the registry itself.
struct Checked<'a, S> {
    sink: &'a mut S,
    hash: Option<Sha256>,
    /// Whether a mirror sent any of the bytes.
    mirrored: bool,
}

impl<S: Sink> Checked<'_, S> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), TransferError<S::Error>> {
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes);
        }
        self.sink.write(bytes).await.map_err(TransferError::Sink)
    }

    async fn restart(&mut self) -> Result<(), TransferError<S::Error>> {
        self.mirrored = false;
        self.hash = self.hash.as_ref().map(|_| Sha256::new());
        self.sink.restart().await.map_err(TransferError::Sink)
    }

    /// Whether the bytes of a mirror have another digest than `digest`.
    fn is_wrong(&mut self, digest: &Digest) -> bool {
        let Some(hash) = self.hash.as_mut().filter(|_| self.mirrored) else { return false };
        Digest::from_sha256(&hash.finalize_reset().into()) != *digest
    }
}

/// Transfers a blob of `size` bytes. `received` counts the bytes; the sink's owner checks their
/// digest.
///
/// # Errors
/// All errors of a registry, and those of the sink.
pub async fn transfer<S: Sink>(
    session: &Session,
    sink: &mut S,
    image: &str,
    digest: &Digest,
    size: u64,
    received: &AtomicU64,
) -> Result<(), TransferError<S::Error>> {
    let hash = session.has_mirrors().then(Sha256::new);
    let mut sink = Checked { sink, hash, mirrored: false };
    let outcome = attempt(session, &mut sink, image, digest, size, received).await;
    let lied = match &outcome {
        Ok(()) => sink.is_wrong(digest),
        // A mirror may have sent wrong bytes: the registry itself decides.
        Err(TransferError::Sink(error)) if S::is_content_error(error) => sink.mirrored,
        Err(TransferError::Registry(Error::SizeMismatch { .. })) => sink.mirrored,
        Err(_) => false,
    };
    if !lied {
        return outcome;
    }
    session.give_up_mirrors("it sent other content than was asked for");
    sink.restart().await?;
    received.store(0, Ordering::Relaxed);
    attempt(session, &mut sink, image, digest, size, received).await
}

async fn attempt<S: Sink>(
    session: &Session,
    sink: &mut Checked<'_, S>,
    image: &str,
    digest: &Digest,
    size: u64,
    received: &AtomicU64,
) -> Result<(), TransferError<S::Error>> {
    let mut tried = 0;
    // The highest offset so far: bytes that are received again after a restart do not count as
    // progress.
    let mut furthest = 0;
    let limit = session.throughput();
    let mut throughput = Throughput::new(limit, Instant::now());
    while sink.sink.offset() < size {
        let before = sink.sink.offset();
        let request = Request { offset: before, ..Request::get(Resource::Blob(digest.clone())) };
        // A pause that the registry requests before its response is processed.
        let asked = Instant::now();
        let answer = session.send(&request).await;
        throughput.leave_out(asked.elapsed());
        let Answer { response, upstream } = match answer {
            // The registry has fewer bytes than it sent before: start over.
            Err(Error::Refused { status: 416, .. }) if before > 0 => {
                sink.restart().await?;
                continue_or_fail(session, image, &mut tried, None).await?;
                continue;
            }
            answer => answer?,
        };
        if before > 0 && !continues_at(&response, before) {
            sink.restart().await?;
        }
        sink.mirrored |= upstream.is_mirror();
        if let Some(actual) = total_bytes(&response).filter(|total| *total != size) {
            let (image, digest) = (image.to_owned(), digest.clone());
            return Err(Error::SizeMismatch { image, digest, expected: size, actual }.into());
        }
        match receive(response, sink, size, received, &mut throughput).await? {
            Ended::Whole => {}
            Ended::Slow(_) if upstream.is_mirror() => {
                upstream.give_up("it is slower than transfer_bytes_per_s_min of [image]")
            }
            Ended::Slow(slow) => return Err(session.subject().too_slow(slow, limit).into()),
            Ended::Early(..) if sink.sink.offset() > size => {}
            Ended::Early(..) if upstream.is_mirror() => upstream.give_up("its answer broke off"),
            Ended::Early(failure, error) => {
                if sink.sink.offset() > furthest {
                    (furthest, tried) = (sink.sink.offset(), 0);
                }
                tracing::debug!(%digest, ?failure, at = sink.sink.offset(), "the download of a blob was interrupted");
                continue_or_fail(session, image, &mut tried, error).await?;
            }
        }
        if sink.sink.offset() > size {
            let (image, digest, actual) = (image.to_owned(), digest.clone(), sink.sink.offset());
            return Err(Error::SizeMismatch { image, digest, expected: size, actual }.into());
        }
    }
    Ok(())
}

async fn receive<S: Sink>(
    response: Response,
    sink: &mut Checked<'_, S>,
    size: u64,
    received: &AtomicU64,
    throughput: &mut Throughput,
) -> Result<Ended, TransferError<S::Error>> {
    let mut stream = response.bytes_stream();
    loop {
        let bytes = match timeout_at(throughput.deadline(), stream.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(bytes))) => bytes,
            Ok(Some(Err(error))) => return Ok(Ended::Early(failure_of(&error), Some(error))),
            Err(_) => Bytes::new(),
        };
        if let Err(slow) = throughput.add(bytes.len(), Instant::now()) {
            return Ok(Ended::Slow(slow));
        }
        let begun = Instant::now();
        sink.write(bytes).await?;
        // Time spent in the sink does not count against the registry.
        throughput.leave_out(begun.elapsed());
        received.store(sink.sink.offset(), Ordering::Relaxed);
        if sink.sink.offset() > size {
            break;
        }
    }
    let missing = Failure::Transient { retry_after: None };
    Ok(if sink.sink.offset() >= size { Ended::Whole } else { Ended::Early(missing, None) })
}

/// Waits before the next attempt, or returns the error.
async fn continue_or_fail(
    session: &Session,
    image: &str,
    tried: &mut u32,
    error: Option<reqwest::Error>,
) -> Result<(), Error> {
    let failure = error.as_ref().map_or(Failure::Transient { retry_after: None }, failure_of);
    let Some(pause) = session.policy().pause(failure, *tried) else {
        return Err(match error {
            Some(error) => session.subject().no_answer(error),
            None => session.subject().protocol(format!("a blob of {image} ends before its size")),
        });
    };
    *tried += 1;
    tokio::time::sleep(pause).await;
    Ok(())
}

/// Length of the whole blob from the headers of a full or partial response; `None` without them.
fn total_bytes(response: &Response) -> Option<u64> {
    match response.status() {
        StatusCode::OK => response.content_length(),
        StatusCode::PARTIAL_CONTENT => {
            response.headers().get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
        }
        _ => None,
    }
}

/// Whether a response continues at the requested offset; a registry may also send all of it.
fn continues_at(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
    let begin = range.and_then(|r| r.strip_prefix("bytes ")).and_then(|r| r.split('-').next());
    response.status() == StatusCode::PARTIAL_CONTENT && begin.and_then(|b| b.parse().ok()) == Some(offset)
}
