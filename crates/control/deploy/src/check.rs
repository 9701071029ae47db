//! Checks of a version and its image before an instance starts. Pure.

use oci::RunConfig;
use store::Pending;
use types::{CommandWords, ImageRef, ImageSpec, PinnedImage, Serving, StatusReason, VersionName, VersionSpec, tags};

/// Error code of an unusable image; the image store uses the same for broken content.
const IMAGE_INVALID: &str = "ImageInvalid";

/// The image to prepare: the reference as given, or the serving digest if the tag must not be
/// resolved again.
pub(crate) fn image_of(pending: &Pending) -> Result<ImageRef, StatusReason> {
    let version = &pending.version;
    let named: ImageRef = version.desired.image.uri.parse().map_err(|error: types::image_ref::InvalidImageRef| {
        StatusReason { error_code: IMAGE_INVALID.to_owned(), error_message: error.to_string() }
    })?;
    Ok(match &version.serving {
        Some(serving) if !version.resolve => named.pinned(serving.image.digest.clone()),
        _ => named,
    })
}

/// Whether image and function together define a program to run.
pub(crate) fn runnable(function: &ImageSpec, image: &RunConfig) -> Result<(), StatusReason> {
    let named = |argv: &[String]| argv.first().is_some_and(|program| !program.is_empty());
    let given = |words: &Option<CommandWords>| words.as_ref().is_some_and(|words| named(&words.words()));
    let runs = given(&function.command)
        || if image.entrypoint.is_empty() {
            given(&function.args) || named(&image.cmd)
        } else {
            named(&image.entrypoint)
        };
    if runs {
        return Ok(());
    }
    Err(StatusReason {
        error_code: IMAGE_INVALID.to_owned(),
        error_message: format!(
            "image {} has no ENTRYPOINT or CMD, so there is nothing to run; set Command in ImageConfig, or ENTRYPOINT in \
             the image",
            function.uri
        ),
    })
}

/// Whether an instance must start before the version serves: calls would go to other instances than
/// before, and the function's owner has not disabled the check. Job images are not checked: they
/// have no listening server, and a run has side effects.
pub(crate) fn is_start_checked(pending: &Pending, image: &PinnedImage) -> bool {
    let version = &pending.version;
    version.version == VersionName::Latest
        && !version.desired.image.is_job()
        && tags::start_check(&pending.record.tags).unwrap_or(true)
        && version.serving.as_ref().is_none_or(|serving| is_seen(serving, &version.desired, image))
}

/// Whether a change is visible in instances, or affects whether they are ready in time.
fn is_seen(serving: &Serving, desired: &VersionSpec, image: &PinnedImage) -> bool {
    let seen = |spec: &VersionSpec| {
        let ImageSpec { command, args, port, .. } = spec.image.clone();
        let network = spec.carried.get("PublicNetConfig").cloned();
        let extras = spec.extras.clone();
        (command, args, port, spec.memory_mb, spec.init_timeout_s, spec.environment.clone(), network, extras)
    };
    serving.image.digest != image.digest || seen(&serving.spec) != seen(desired)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Map, json};
    use types::{
        Digest, FunctionId, FunctionKey, FunctionKind, FunctionRecord, ImageType, Namespace, Status, VersionRecord,
    };

    use super::*;

    fn image(number: u8) -> PinnedImage {
        PinnedImage { digest: Digest::from_sha256(&[number; 32]), size_bytes: 1 }
    }

    fn spec() -> VersionSpec {
        VersionSpec {
            image: ImageSpec {
                image_type: ImageType::Personal,
                uri: "localhost/hello:v1".into(),
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
            carried: Map::new(),
            extras: types::Extras::default(),
        }
    }

    /// A version that serves [`spec`] with image 1.
    fn pending() -> Pending {
        let record = FunctionRecord {
            id: FunctionId::random(),
            key: FunctionKey { namespace: Namespace::default_namespace(), name: "hello".parse().unwrap() },
            kind: FunctionKind::Event,
            protocol: None,
            async_run: false,
            trace: false,
            tags: Vec::new(),
            added_ms: 0,
            modified_ms: 0,
        };
        let version = VersionRecord {
            function_id: record.id.clone(),
            version: VersionName::Latest,
            status: Status::Updating,
            reasons: Vec::new(),
            generation: 2,
            desired: spec(),
            resolve: true,
            serving: Some(Serving { generation: 1, spec: spec(), image: image(1) }),
            added_ms: 0,
            modified_ms: 0,
        };
        Pending { record, version }
    }

    #[test]
    fn a_start_is_checked_when_instances_see_what_is_new() {
        let changed = |change: &dyn Fn(&mut VersionSpec)| {
            let mut pending = pending();
            change(&mut pending.version.desired);
            is_start_checked(&pending, &image(1))
        };
        let network = |spec: &mut VersionSpec| {
            spec.carried.insert("PublicNetConfig".to_owned(), json!({"PublicNetStatus": "DISABLE"}));
        };
        let table: BTreeMap<&str, (bool, bool)> = [
            ("nothing", (changed(&|_| {}), false)),
            ("the tag", (changed(&|spec| spec.image.uri = "localhost/hello:v2".into()), false)),
            ("description", (changed(&|spec| spec.description = "other".into()), false)),
            ("time limit", (changed(&|spec| spec.timeout_s = 9), false)),
            ("role", (changed(&|spec| drop(spec.carried.insert("Role".into(), json!("r")))), false)),
            ("memory", (changed(&|spec| spec.memory_mb = 256), true)),
            ("start limit", (changed(&|spec| spec.init_timeout_s = 1), true)),
            ("port", (changed(&|spec| spec.image.port = 80), true)),
            ("command", (changed(&|spec| spec.image.command = Some(CommandWords::Text("/a".into()))), true)),
            ("environment", (changed(&|spec| spec.environment.push(("A".into(), "b".into()))), true)),
            ("network", (changed(&network), true)),
        ]
        .into();
        for (what, (checked, wanted)) in table {
            assert_eq!(checked, wanted, "{what}");
        }
        assert!(is_start_checked(&pending(), &image(2)), "another image");
        let mut job = pending();
        job.version.desired.image.port = types::limits::JOB_PORT;
        assert!(!is_start_checked(&job, &image(2)), "a job image runs for events alone");
    }

    #[test]
    fn a_first_version_is_checked_and_published_ones_and_those_of_the_tag_are_not() {
        let mut first = pending();
        first.version.serving = None;
        assert!(is_start_checked(&first, &image(1)));
        first.record.tags.push((tags::START_CHECK.to_owned(), "off".to_owned()));
        assert!(!is_start_checked(&first, &image(1)));
        let mut published = pending();
        (published.version.version, published.version.serving) = (VersionName::Number(1), None);
        assert!(!is_start_checked(&published, &image(1)));
    }

    fn is_runnable(command: &str, args: &str, entrypoint: &[&str], cmd: &[&str]) -> bool {
        let given = |text: &str| (!text.is_empty()).then(|| CommandWords::Text(text.to_owned()));
        let function = ImageSpec {
            image_type: ImageType::Personal,
            uri: "localhost/hello".into(),
            registry_id: None,
            command: given(command),
            args: given(args),
            accelerate: false,
            port: 9000,
        };
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let image = RunConfig { entrypoint: owned(entrypoint), cmd: owned(cmd), ..RunConfig::default() };
        runnable(&function, &image).is_ok()
    }

    #[test]
    fn a_program_comes_from_the_function_or_from_the_image() {
        for (command, args, entrypoint, cmd) in [
            ("/server", "", &[][..], &[][..]),
            ("", "/server", &[], &[]),
            ("", "", &["/server"], &[]),
            ("", "", &[], &["/server"]),
        ] {
            assert!(is_runnable(command, args, entrypoint, cmd), "{command:?} {args:?} {entrypoint:?} {cmd:?}");
        }
    }

    #[test]
    fn without_any_there_is_nothing_to_run() {
        for (command, args, entrypoint, cmd) in
            [("", "", &[][..], &[][..]), (" \t", " ", &[], &[]), ("", "", &[""], &["/server"]), ("", "-v", &[""], &[])]
        {
            assert!(!is_runnable(command, args, entrypoint, cmd), "{command:?} {args:?} {entrypoint:?} {cmd:?}");
        }
    }
}
