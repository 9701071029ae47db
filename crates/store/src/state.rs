//! The state machine of a version, in pure functions: the record after a change, the end of a
//! preparation, or a deletion.
//!
//! ```text
//! new  -> Creating -> Active -> Updating -> Active
//!             |          ^  \        |
//!             v          |   \       v
//!        CreateFailed ---+    +-- UpdateFailed
//!  (a change: Creating again)   (a change: Updating again)
//! published -> Publishing -> Active | PublishFailed
//! any -> Deleting
//! ```

use types::{FunctionId, PinnedImage, Serving, Status, StatusReason, VersionName, VersionRecord, VersionSpec};

use crate::record::Change;

/// `$LATEST` of a new function.
pub(crate) fn made(function_id: FunctionId, spec: VersionSpec, now_ms: i64) -> VersionRecord {
    VersionRecord {
        function_id,
        version: VersionName::Latest,
        status: Status::Creating,
        reasons: Vec::new(),
        generation: 1,
        desired: spec,
        resolve: true,
        serving: None,
        added_ms: now_ms,
        modified_ms: now_ms,
    }
}

/// Whether this state accepts changes.
pub(crate) fn takes_changes(status: Status) -> bool {
    matches!(status, Status::Active | Status::UpdateFailed | Status::CreateFailed)
}

/// Whether a version in this state waits for a preparation.
pub(crate) fn is_pending(status: Status) -> bool {
    PENDING.contains(&status)
}

/// The states of versions that wait for a preparation.
pub(crate) const PENDING: [Status; 3] = [Status::Creating, Status::Updating, Status::Publishing];

/// The record after a change, or the state that forbids it.
pub(crate) fn changed(old: VersionRecord, change: Change, now_ms: i64) -> Result<VersionRecord, Status> {
    if !takes_changes(old.status) {
        return Err(old.status);
    }
    Ok(VersionRecord {
        status: if old.serving.is_some() { Status::Updating } else { Status::Creating },
        reasons: Vec::new(),
        generation: old.generation + 1,
        // The tag of an earlier image that never became active still has to be resolved.
        resolve: change.resolve || old.resolve,
        desired: change.spec,
        modified_ms: now_ms,
        ..old
    })
}

/// The record after its preparation succeeded; `None` if that preparation is obsolete.
pub(crate) fn activated(old: VersionRecord, generation: u64, image: PinnedImage, now_ms: i64) -> Option<VersionRecord> {
    awaits(&old, generation).then(|| VersionRecord {
        status: Status::Active,
        reasons: Vec::new(),
        resolve: false,
        serving: Some(Serving { generation, spec: old.desired.clone(), image }),
        modified_ms: now_ms,
        ..old
    })
}

/// The record after its preparation failed; `None` if that preparation is obsolete.
pub(crate) fn failed(old: VersionRecord, generation: u64, reason: StatusReason, now_ms: i64) -> Option<VersionRecord> {
    if !awaits(&old, generation) {
        return None;
    }
    let (status, serving) = match (old.status, old.serving) {
        // After a failed preparation no pin protects the image.
        (Status::Publishing, _) => (Status::PublishFailed, None),
        (_, None) => (Status::CreateFailed, None),
        (_, serving) => (Status::UpdateFailed, serving),
    };
    Some(VersionRecord { status, serving, reasons: vec![reason], modified_ms: now_ms, ..old })
}

/// The serving state of `$LATEST`, if it can be published.
pub(crate) fn publishable(latest: &VersionRecord) -> Option<&Serving> {
    latest.serving.as_ref().filter(|_| latest.status == Status::Active)
}

/// The serving state of a function as a separate version.
pub(crate) fn published(
    function_id: FunctionId,
    number: u32,
    served: &Serving,
    description: Option<String>,
    now_ms: i64,
) -> VersionRecord {
    let description = description.unwrap_or_else(|| served.spec.description.clone());
    let spec = VersionSpec { description, ..served.spec.clone() };
    VersionRecord {
        function_id,
        version: VersionName::Number(number),
        status: Status::Publishing,
        reasons: Vec::new(),
        generation: 1,
        desired: spec.clone(),
        resolve: false,
        serving: Some(Serving { generation: 1, spec, image: served.image.clone() }),
        added_ms: now_ms,
        modified_ms: now_ms,
    }
}

fn awaits(version: &VersionRecord, generation: u64) -> bool {
    is_pending(version.status) && version.generation == generation
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{Digest, ImageSpec, ImageType};

    use super::*;

    fn spec() -> VersionSpec {
        VersionSpec {
            image: ImageSpec {
                image_type: ImageType::Personal,
                uri: "localhost/hello".into(),
                registry_id: None,
                command: None,
                args: None,
                accelerate: false,
                port: 9000,
            },
            memory_mb: 128,
            timeout_s: 3,
            init_timeout_s: 90,
            description: String::new(),
            environment: Vec::new(),
            concurrency: None,
            carried: serde_json::Map::new(),
            extras: types::Extras::default(),
        }
    }

    /// An event of a version; ends of preparations carry their age in generations.
    #[derive(Debug, Clone)]
    enum Event {
        Change { resolve: bool },
        Activate { ago: u64 },
        Fail { ago: u64 },
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            any::<bool>().prop_map(|resolve| Event::Change { resolve }),
            (0..3u64).prop_map(|ago| Event::Activate { ago }),
            (0..3u64).prop_map(|ago| Event::Fail { ago }),
        ]
    }

    fn after(old: &VersionRecord, event: &Event) -> Option<VersionRecord> {
        let image = PinnedImage { digest: Digest::from_sha256(&[1; 32]), size_bytes: 1 };
        let reason = StatusReason { error_code: "X".into(), error_message: "x".into() };
        match *event {
            Event::Change { resolve } => changed(old.clone(), Change { spec: spec(), resolve, publish: false }, 1).ok(),
            Event::Activate { ago } => activated(old.clone(), old.generation.wrapping_sub(ago), image, 1),
            Event::Fail { ago } => failed(old.clone(), old.generation.wrapping_sub(ago), reason, 1),
        }
    }

    proptest! {
        #[test]
        fn a_version_is_always_in_order(events in prop::collection::vec(event(), 0..40)) {
            let mut version = made("lam-aaaaaaaa".parse().unwrap(), spec(), 0);
            for event in &events {
                let Some(next) = after(&version, event) else { continue };
                // Only the end of the newest preparation replaces the serving state.
                if next.serving != version.serving {
                    let serving = next.serving.as_ref().map(|serving| serving.generation);
                    prop_assert_eq!(serving, Some(next.generation));
                    prop_assert_eq!(next.status, Status::Active);
                }
                prop_assert!(version.serving.is_none() || next.serving.is_some());
                prop_assert!(next.generation >= version.generation);
                let served = next.serving.is_some();
                let fits = match next.status {
                    Status::Creating | Status::CreateFailed => !served,
                    Status::Active | Status::Updating | Status::UpdateFailed => served,
                    _ => false,
                };
                prop_assert!(fits, "{:?} with {:?}", next.status, next.serving);
                let has_failed = matches!(next.status, Status::CreateFailed | Status::UpdateFailed);
                prop_assert_eq!(next.reasons.is_empty(), !has_failed);
                prop_assert!(served || next.resolve, "nothing is pinned, so the tag has to be resolved");
                version = next;
            }
        }
    }

    fn served() -> VersionRecord {
        let latest = made("lam-aaaaaaaa".parse().unwrap(), spec(), 0);
        activated(latest, 1, PinnedImage { digest: Digest::from_sha256(&[1; 32]), size_bytes: 1 }, 1).unwrap()
    }

    #[test]
    fn what_is_served_is_published_not_what_is_wanted() {
        let latest = served();
        let served = publishable(&latest).unwrap();
        let version = published(latest.function_id.clone(), 7, served, Some("seven".into()), 5);
        assert_eq!((version.version, version.status), (VersionName::Number(7), Status::Publishing));
        assert_eq!((version.desired.description.as_str(), version.added_ms), ("seven", 5));
        let serving = version.serving.clone().unwrap();
        assert_eq!((serving.generation, &serving.spec), (1, &version.desired));
        assert_eq!(serving.image, served.image);
        let change = Change { spec: spec(), resolve: true, publish: false };
        assert_eq!(publishable(&changed(latest, change, 1).unwrap()), None);
    }

    #[test]
    fn a_publication_ends_active_or_serving_nothing() {
        let latest = served();
        let version = published(latest.function_id.clone(), 1, publishable(&latest).unwrap(), None, 5);
        let image = version.serving.clone().unwrap().image;
        let active = activated(version.clone(), 1, image, 6).unwrap();
        assert_eq!((active.status, &active.serving), (Status::Active, &version.serving));
        let reason = StatusReason { error_code: "X".into(), error_message: "x".into() };
        let failed = failed(version, 1, reason, 6).unwrap();
        assert_eq!((failed.status, failed.serving, failed.reasons.len()), (Status::PublishFailed, None, 1));
    }
}
