//! [`Prepare`] by the image store of this machine. Must not know functions.

use image::{Images, PrepareRequest, Prepared};
use tokio::sync::watch;
use types::{Digest, StatusReason};

use crate::prepare::Prepare;

impl Prepare for Images {
    async fn prepare(&self, request: PrepareRequest) -> Result<Prepared, StatusReason> {
        Images::prepare(self, request).await.map_err(|error| reason(&error))
    }

    async fn unpin(&self, owner: &str) -> Result<(), StatusReason> {
        Images::unpin(self, owner).await.map_err(|error| reason(&error))
    }

    async fn keep(&self, owner: &str, digest: &Digest) -> Result<bool, StatusReason> {
        Images::keep(self, owner, digest).await.map_err(|error| reason(&error))
    }

    fn damage(&self) -> watch::Receiver<u64> {
        self.content().damage()
    }

    fn owners(&self, prefix: &str) -> Vec<String> {
        self.content().pins(prefix).into_iter().map(|(owner, _)| owner).collect()
    }
}

fn reason(error: &image::Error) -> StatusReason {
    StatusReason { error_code: error.code().to_owned(), error_message: error.report() }
}
