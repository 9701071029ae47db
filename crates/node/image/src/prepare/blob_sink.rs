//! Transfer of a blob from a registry into the content store.

use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use content_store::{ContentStore, Upload};
use oci::Descriptor;
use registry_client::{Session, Sink, transfer};

use crate::Error;

/// Writes a blob into the content store.
struct BlobSink<'a> {
    content: &'a ContentStore,
    upload: Upload,
}

impl Sink for BlobSink<'_> {
    type Error = Error;

    fn offset(&self) -> u64 {
        self.upload.offset()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        Ok(self.upload.write(bytes).await?)
    }

    async fn restart(&mut self) -> Result<(), Error> {
        self.upload = self.content.begin_upload().await?;
        Ok(())
    }

    fn is_content_error(_error: &Error) -> bool {
        false
    }
}

/// Fetches a blob into the content store. `received` counts its bytes.
pub(super) async fn fetch(
    session: &Session,
    content: &ContentStore,
    image: &str,
    blob: &Descriptor,
    received: &AtomicU64,
) -> Result<(), Error> {
    let mut sink = BlobSink { content, upload: content.begin_upload().await? };
    transfer(session, &mut sink, image, &blob.digest, blob.size, received).await?;
    match sink.upload.commit(Some(&blob.digest)).await {
        Ok(_) => Ok(()),
        Err(content_store::Error::DigestMismatch { expected, actual }) => {
            Err(session.wrong_content(expected, actual).into())
        }
        Err(error) => Err(error.into()),
    }
}
