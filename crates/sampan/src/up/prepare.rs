//! Implements [`deploy::Prepare`] with this machine's image store.

use std::sync::Arc;

use deploy::{PrepareRequest, Prepared, Progress, Step};
use image::Images;
use tokio::sync::watch;
use types::{Digest, StatusReason};

/// Adapter of the image store.
pub struct Prepare(pub Images);

impl deploy::Prepare for Prepare {
    async fn prepare(&self, request: PrepareRequest) -> Result<Prepared, StatusReason> {
        let PrepareRequest { image, registry_id, owner, progress } = request;
        let progress = Arc::new(move |report: image::Progress| progress(progress_of(&report)));
        let request = image::PrepareRequest { image, registry_id, owner, progress };
        let image::Prepared { digest, size_bytes, run, .. } = self.0.prepare(request).await.map_err(reason)?;
        Ok(Prepared { digest, size_bytes, run })
    }

    async fn unpin(&self, owner: &str) -> Result<(), StatusReason> {
        self.0.unpin(owner).await.map_err(reason)
    }

    async fn keep(&self, owner: &str, digest: &Digest) -> Result<bool, StatusReason> {
        self.0.keep(owner, digest).await.map_err(reason)
    }

    fn damage(&self) -> watch::Receiver<u64> {
        self.0.content().damage()
    }

    fn owners(&self, prefix: &str) -> Vec<String> {
        self.0.content().pins(prefix).into_iter().map(|(owner, _)| owner).collect()
    }
}

fn reason(error: image::Error) -> StatusReason {
    StatusReason { error_code: error.code().to_owned(), error_message: error.report() }
}

fn progress_of(report: &image::Progress) -> Progress {
    let image::Progress { step, layers_done, layers_total, bytes_done, bytes_total, pause_s } = *report;
    let step = match step {
        image::Step::Resolving => Step::Resolving,
        image::Step::Pulling => Step::Pulling,
        image::Step::Indexing => Step::Indexing,
        image::Step::Merging => Step::Merging,
        image::Step::Ready => Step::Ready,
    };
    Progress { step, layers_done, layers_total, bytes_done, bytes_total, pause_s }
}

#[cfg(test)]
mod tests {
    use deploy::Prepare as _;
    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn an_image_that_cannot_be_pulled_gives_the_stores_reason_and_its_progress() {
        // A port without a listener: it was free a moment ago.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let dir = tempfile::tempdir().expect("a directory");
        let config = image::Config { retries_max: 0, ..image::Config::default() };
        let images = Images::open(dir.path(), config, Arc::new(registry_client::Anonymous)).await.expect("opened");
        let steps = Arc::new(Mutex::new(Vec::new()));
        let seen = steps.clone();
        let request = PrepareRequest {
            image: format!("127.0.0.1:{port}/hello:v1").parse().expect("valid"),
            registry_id: None,
            owner: "me".to_owned(),
            progress: Arc::new(move |report: Progress| seen.lock().push(report.step)),
        };
        let reason = Prepare(images.clone()).prepare(request).await.expect_err("nothing is there");
        assert_eq!(reason.error_code, "RegistryUnreachable");
        assert!(reason.error_message.contains(&port.to_string()), "{reason:?}");
        assert_eq!(steps.lock().first(), Some(&Step::Resolving));
        images.shutdown().await;
    }
}
