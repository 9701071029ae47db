//! One preparation from what is pending to how it ended. Must not know what becomes of the end.

use std::sync::Arc;

use image::{PrepareRequest, Step};
use parking_lot::Mutex;
use store::{Pending, Store};
use tokio_util::sync::CancellationToken;
use types::{PinnedImage, StatusReason, VersionKey};

use crate::prepare::Prepare;
use crate::{check, owner, progress};

/// How a preparation ended.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// The image is there and pinned.
    Prepared(PinnedImage),
    /// It cannot be used.
    Failed(StatusReason),
    /// Nobody awaits it any more.
    Cancelled,
}

impl End {
    /// The end of a preparation whose task panicked.
    pub(crate) fn panicked() -> Self {
        Self::Failed(StatusReason {
            error_code: "InternalError".to_owned(),
            error_message: "preparing the image ended unexpectedly; the platform log has the cause. Try again with \
                            UpdateFunctionCode"
                .to_owned(),
        })
    }
}

/// Prepares a version until it is ready, fails or is cancelled.
pub(crate) async fn run(
    store: Store,
    images: Arc<impl Prepare>,
    key: VersionKey,
    pending: Pending,
    cancelled: CancellationToken,
) -> End {
    let prepared = prepare(&store, &*images, &key, &pending);
    match cancelled.run_until_cancelled(prepared).await {
        Some(Ok(image)) => End::Prepared(image),
        Some(Err(reason)) => End::Failed(reason),
        None => End::Cancelled,
    }
}

async fn prepare(
    store: &Store,
    images: &impl Prepare,
    key: &VersionKey,
    pending: &Pending,
) -> Result<PinnedImage, StatusReason> {
    let spec = &pending.version.desired.image;
    let (listener, listened) = (store.clone(), key.clone());
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
    let prepared = images.prepare(request).await.map_err(|mut reason| {
        if let Some(step) = *reached.lock() {
            reason.error_message = format!("{}: {}", progress::failed(step), reason.error_message);
        }
        reason
    })?;
    check::runnable(spec, &prepared.run)?;
    Ok(PinnedImage { digest: prepared.digest, size_bytes: prepared.size_bytes })
}
