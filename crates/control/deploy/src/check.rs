//! What can be said about a version and its image before anything runs, as pure functions.

use image::RunConfig;
use store::Pending;
use types::{CommandWords, ImageRef, ImageSpec, StatusReason};

/// A word to match on when an image cannot be used as it is; the image store has the same for broken content.
const IMAGE_INVALID: &str = "ImageInvalid";

/// The image to prepare: the reference as it was named, or the digest that is served when the tag shall not be resolved
/// again.
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

/// Whether image and function together name a program to run.
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

#[cfg(test)]
mod tests {
    use types::ImageType;

    use super::*;

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
