//! The program of an instance: the image's ENTRYPOINT and CMD with the function's Command and Args.
//! Pure.

use image::RunConfig;
use types::{CommandWords, ImageSpec};

/// Neither the image nor the function names a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is nothing to run: the image has neither ENTRYPOINT nor CMD, and the function has no Command; set Command \
     in ImageConfig or ENTRYPOINT in the image"
)]
pub(crate) struct NothingToRun;

/// The program and its arguments. Command replaces the entry point and Args replaces CMD (contract
/// 4.1). With a Command the image's CMD is dropped, as Kubernetes does: it was written for the
/// entry point that is replaced.
pub(crate) fn argv(function: &ImageSpec, image: &RunConfig) -> Result<Vec<String>, NothingToRun> {
    let words = |given: &Option<CommandWords>| given.as_ref().map(CommandWords::words).unwrap_or_default();
    let (command, args) = (words(&function.command), words(&function.args));
    let mut argv = if command.is_empty() { image.entrypoint.clone() } else { command.clone() };
    if !args.is_empty() {
        argv.extend(args);
    } else if command.is_empty() {
        argv.extend(image.cmd.iter().cloned());
    }
    if argv.first().is_some_and(|program| !program.is_empty()) { Ok(argv) } else { Err(NothingToRun) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::ImageType;

    fn run(command: &str, args: &str, entrypoint: &[&str], cmd: &[&str]) -> Result<String, NothingToRun> {
        let given = |text: &str| (!text.is_empty()).then(|| CommandWords::Text(text.to_owned()));
        run_words(given(command), given(args), entrypoint, cmd)
    }

    fn run_words(
        command: Option<CommandWords>,
        args: Option<CommandWords>,
        entrypoint: &[&str],
        cmd: &[&str],
    ) -> Result<String, NothingToRun> {
        let function = ImageSpec {
            image_type: ImageType::Personal,
            uri: "localhost/hello".into(),
            registry_id: None,
            command,
            args,
            accelerate: false,
            port: 9000,
        };
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        let image = RunConfig { entrypoint: owned(entrypoint), cmd: owned(cmd), ..RunConfig::default() };
        argv(&function, &image).map(|argv| argv.join("|"))
    }

    #[test]
    fn the_function_replaces_what_the_image_says() {
        let (entry, cmd) = (&["/entry", "-e"][..], &["serve", "all"][..]);
        for (command, args, expected) in [
            ("", "", "/entry|-e|serve|all"),
            ("", "one  two", "/entry|-e|one|two"),
            ("python3 -m flask", "", "python3|-m|flask"),
            ("python3", "-m flask", "python3|-m|flask"),
        ] {
            assert_eq!(run(command, args, entry, cmd).as_deref(), Ok(expected), "{command:?} {args:?}");
        }
        assert_eq!(run("", "", &[], cmd).as_deref(), Ok("serve|all"));
        assert_eq!(run("", "/bin/server", &[], &[]).as_deref(), Ok("/bin/server"));
    }

    #[test]
    fn words_of_a_list_stay_as_they_are() {
        let list = |words: &[&str]| Some(CommandWords::List(words.iter().map(|word| (*word).to_owned()).collect()));
        let sh = run_words(list(&["sh", "-c"]), list(&["echo \"a b\"", ""]), &["/entry"], &["cmd"]);
        assert_eq!(sh.as_deref(), Ok("sh|-c|echo \"a b\"|"));
        assert_eq!(run_words(None, list(&["a b"]), &["/entry"], &["cmd"]).as_deref(), Ok("/entry|a b"));
    }

    #[test]
    fn nothing_to_run_is_an_error() {
        for (command, entrypoint) in [("", &[][..]), ("  ", &[]), ("", &["", "x"])] {
            assert_eq!(run(command, "", entrypoint, &[]), Err(NothingToRun));
        }
    }
}
