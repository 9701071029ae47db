//! Checks that instances can mount the volumes in a request.

use std::time::Duration;

use types::{ApiError, ErrorCode, Mount};

use crate::context::Context;

/// Timeout of a volume check.
const CHECK_MAX: Duration = Duration::from_secs(5);

/// Refuses a volume that instances cannot mount. A volume lost later fails the start of an
/// instance.
pub(super) async fn check(cx: &Context, mounts: Vec<Mount>) -> Result<(), ApiError> {
    if mounts.is_empty() {
        return Ok(());
    }
    let refused = |mount: &Mount, why: String| ApiError::new(ErrorCode::INVALID_VALUE, format!("mount {mount}: {why}"));
    let Some(volumes) = cx.host_environment.volumes.clone() else {
        return Err(refused(&mounts[0], "there are no volumes here".to_owned()));
    };
    for mount in mounts {
        let (volumes, looked_at) = (volumes.clone(), mount.clone());
        let checked = tokio::task::spawn_blocking(move || volumes.check(&looked_at));
        match tokio::time::timeout(CHECK_MAX, checked).await {
            Ok(Ok(checked)) => checked.map_err(|why| refused(&mount, why))?,
            Ok(Err(_)) => return Err(refused(&mount, "the platform is stopping".to_owned())),
            Err(_) => return Err(refused(&mount, "its file system does not answer; try again".to_owned())),
        }
    }
    Ok(())
}
