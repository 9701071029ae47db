//! One blob from a registry to where it is wanted: resumed where it broke off, its length checked, and its digest for
//! those that go to the content store. Must not know what is in it.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use types::Digest;

use super::retry::Failure;
use super::session::{Ask, Session, Target, failure_of};
use crate::Error;
use crate::content::{ContentStore, Upload};

/// How a transfer ended.
enum Ended {
    /// Every byte came.
    Whole,
    /// It broke off.
    Early(Failure, Option<reqwest::Error>),
}

/// Where the bytes of a blob go.
pub(crate) trait Sink: Send {
    /// Bytes that it has.
    fn offset(&self) -> u64;

    /// Takes the next bytes.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Error>> + Send;

    /// Forgets what it has.
    fn restart(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The way into the content store.
struct ToStore<'a> {
    content: &'a ContentStore,
    upload: Upload,
}

impl Sink for ToStore<'_> {
    fn offset(&self) -> u64 {
        self.upload.offset()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.upload.write(bytes).await
    }

    async fn restart(&mut self) -> Result<(), Error> {
        self.upload = self.content.begin_upload().await?;
        Ok(())
    }
}

/// Fetches a blob of `size` bytes into the content store. `received` shows the bytes that are here.
pub(crate) async fn fetch(
    session: &Session,
    content: &ContentStore,
    image: &str,
    digest: &Digest,
    size: u64,
    received: &AtomicU64,
) -> Result<(), Error> {
    let mut sink = ToStore { content, upload: content.begin_upload().await? };
    transfer(session, &mut sink, image, digest, size, received).await?;
    match sink.upload.commit(Some(digest)).await {
        Ok(_) => Ok(()),
        Err(Error::DigestMismatch { expected, actual }) => Err(session.wrong_content(expected, actual)),
        Err(error) => Err(error),
    }
}

/// Transfers a blob of `size` bytes. `received` shows the bytes that are here; the sink's owner checks their digest.
pub(crate) async fn transfer(
    session: &Session,
    sink: &mut impl Sink,
    image: &str,
    digest: &Digest,
    size: u64,
    received: &AtomicU64,
) -> Result<(), Error> {
    let mut tried = 0;
    while sink.offset() < size {
        let before = sink.offset();
        let ask = Ask { offset: before, ..Ask::get(Target::Blob(digest.clone())) };
        let response = match session.send(&ask).await {
            // The registry has less of it than it sent before: from the start then.
            Err(Error::Refused { status: 416, .. }) if before > 0 => {
                sink.restart().await?;
                continue_or_fail(session, image, &mut tried, None).await?;
                continue;
            }
            response => response?,
        };
        if before > 0 && !continues_at(&response, before) {
            sink.restart().await?;
        }
        match receive(response, sink, size, received).await? {
            Ended::Whole => {}
            Ended::Early(..) if sink.offset() > size => {}
            Ended::Early(failure, error) => {
                if sink.offset() > before {
                    tried = 0;
                }
                tracing::debug!(%digest, ?failure, at = sink.offset(), "a blob broke off");
                continue_or_fail(session, image, &mut tried, error).await?;
            }
        }
        if sink.offset() > size {
            let (image, digest, actual) = (image.to_owned(), digest.clone(), sink.offset());
            return Err(Error::SizeMismatch { image, digest, expected: size, actual });
        }
    }
    Ok(())
}

async fn receive(response: Response, sink: &mut impl Sink, size: u64, received: &AtomicU64) -> Result<Ended, Error> {
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(bytes) => sink.write(bytes).await?,
            Err(error) => return Ok(Ended::Early(failure_of(&error), Some(error))),
        }
        received.store(sink.offset(), Ordering::Relaxed);
        if sink.offset() > size {
            break;
        }
    }
    let missing = Failure::Transient { retry_after: None };
    Ok(if sink.offset() >= size { Ended::Whole } else { Ended::Early(missing, None) })
}

/// Waits before the next try, or fails with what went wrong.
async fn continue_or_fail(
    session: &Session,
    image: &str,
    tried: &mut u32,
    error: Option<reqwest::Error>,
) -> Result<(), Error> {
    let failure = error.as_ref().map_or(Failure::Transient { retry_after: None }, failure_of);
    let Some(pause) = session.policy().pause(failure, *tried) else {
        return Err(match error {
            Some(error) => session.no_answer(error),
            None => session.protocol(format!("a blob of {image} ends before its size")),
        });
    };
    *tried += 1;
    tokio::time::sleep(pause).await;
    Ok(())
}

/// Whether an answer goes on where it was asked to; a registry may also send all from the start.
fn continues_at(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
    let begin = range.and_then(|r| r.strip_prefix("bytes ")).and_then(|r| r.split('-').next());
    response.status() == StatusCode::PARTIAL_CONTENT && begin.and_then(|b| b.parse().ok()) == Some(offset)
}
