//! One preparation: from a pending version to an outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use store::{Pending, Store};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, PinnedImage, StatusReason, VersionKey};

use crate::prepare::{Prepare, PrepareRequest, Step};
use crate::start_check::{StartCheck, StartError};
use crate::{check, owner, progress};

/// Outcome of a preparation.
#[derive(Debug)]
pub(crate) enum End<S> {
    /// The image is prepared and pinned, and an instance has started if the start check applies.
    Prepared(PinnedImage, Option<S>),
    /// The version cannot be used.
    Failed(StatusReason),
    /// A newer change replaced it, or the function is being deleted.
    Cancelled,
}

impl<S> End<S> {
    /// Outcome of a preparation whose task panicked.
    pub(crate) fn panicked() -> Self {
        Self::Failed(StatusReason {
            error_code: "InternalError".to_owned(),
            error_message: "preparing the image ended unexpectedly; the platform log has the cause. Try again with \
                            UpdateFunctionCode"
                .to_owned(),
        })
    }
}

/// Whether a preparation has its image and runs the start check; it no longer counts in
/// `parallel_max` then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage {
    checking: Arc<AtomicBool>,
    changed: Arc<Notify>,
}

impl Stage {
    /// Creates a stage that notifies `changed` when the start check begins.
    pub(crate) fn new(changed: &Arc<Notify>) -> Self {
        Self { checking: Arc::default(), changed: Arc::clone(changed) }
    }

    pub(crate) fn is_checking(&self) -> bool {
        self.checking.load(Ordering::Relaxed)
    }

    fn begin_check(&self) {
        self.checking.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

/// State shared by preparations.
pub(crate) struct Preparer<P, S> {
    pub(crate) store: Store,
    pub(crate) images: Arc<P>,
    pub(crate) starts: Arc<S>,
    /// Permits of concurrent start checks.
    pub(crate) checks: Semaphore,
    /// Longest wait for a permit, and then for admission.
    pub(crate) room_wait_max: Duration,
}

impl<P: Prepare, S: StartCheck> Preparer<P, S> {
    /// Prepares a version until it is ready, failed or cancelled.
    pub(crate) async fn run(
        self: Arc<Self>,
        key: VersionKey,
        pending: Pending,
        stage: Stage,
        cancelled: CancellationToken,
    ) -> End<S::Started> {
        let prepared = async {
            let image = self.prepare(&key, &pending).await.map_err(StartError::Failed)?;
            let started = self.check_start(&key, &pending, &image, &stage).await?;
            Ok((image, started))
        };
        match cancelled.run_until_cancelled(prepared).await {
            Some(Ok((image, started))) => End::Prepared(image, started),
            Some(Err(StartError::Failed(reason))) => End::Failed(reason),
            Some(Err(StartError::NoRoom(_) | StartError::Stopping)) | None => End::Cancelled,
        }
    }

    async fn prepare(&self, key: &VersionKey, pending: &Pending) -> Result<PinnedImage, StatusReason> {
        let spec = &pending.version.desired.image;
        let (listener, listened) = (self.store.clone(), key.clone());
        let reached: Arc<Mutex<Option<Step>>> = Arc::default();
        let reaching = reached.clone();
        let request = PrepareRequest {
            image: check::image_of(pending)?,
            registry_id: spec.registry_id.clone(),
            owner: owner::of(key),
            progress: Arc::new(move |report| {
                *reaching.lock() = Some(report.step);
                listener.set_progress(&listened, &progress::text(&report));
            }),
        };
        let prepared = self.images.prepare(request).await.map_err(|mut reason| {
            if let Some(step) = *reached.lock() {
                reason.error_message = format!("{}: {}", progress::failed(step), reason.error_message);
            }
            reason
        })?;
        check::runnable(spec, &prepared.run)?;
        if let Some(stop_signal) = prepared.run.unknown_stop_signal() {
            let version = owner::of(key);
            tracing::warn!(%version, stop_signal, "unknown StopSignal of the image; stops send SIGTERM");
        }
        Ok(PinnedImage { digest: prepared.digest, size_bytes: prepared.size_bytes })
    }

    /// Starts an instance if the start check applies. Without admission the version serves
    /// unchecked: a full machine does not imply a broken image.
    async fn check_start(
        &self,
        key: &VersionKey,
        pending: &Pending,
        image: &PinnedImage,
        stage: &Stage,
    ) -> Result<Option<S::Started>, StartError> {
        if !check::is_start_checked(pending, image) {
            return Ok(None);
        }
        stage.begin_check();
        let Ok(permit) = timeout(self.room_wait_max, self.checks.acquire()).await else {
            warn_unchecked(key, "as many starts are checked as may be ([deploy] start_checks_parallel_max)");
            return Ok(None);
        };
        let _permit = permit.expect("the semaphore of checks is never closed");
        self.store.set_progress(key, progress::STARTING);
        let version = CatalogVersion {
            key: key.clone(),
            function: Arc::new(pending.record.clone()),
            spec: pending.version.desired.clone(),
            image: image.clone(),
        };
        match self.starts.check(Arc::new(version), self.room_wait_max).await {
            Ok(started) => Ok(Some(started)),
            Err(StartError::NoRoom(why)) => {
                warn_unchecked(key, &why);
                Ok(None)
            }
            Err(StartError::Failed(mut reason)) => {
                reason.error_message = format!("{}: {}", progress::START_FAILED, reason.error_message);
                Err(StartError::Failed(reason))
            }
            // The platform's shutdown is about to cancel this preparation; the next start repeats
            // the check.
            Err(StartError::Stopping) => std::future::pending().await,
        }
    }
}

fn warn_unchecked(key: &VersionKey, why: &str) {
    tracing::warn!(version = %owner::of(key), why, "activating a version without its start check");
}
