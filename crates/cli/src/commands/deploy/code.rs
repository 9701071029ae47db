//! Image settings of a deploy: given settings replace the function's, others are kept.

use serde_json::{Map, Value, json};
use types::limits::JOB_PORT;

use crate::args::DeployArgs;
use crate::args::argv::Argv;
use crate::client::Client;
use crate::image_name::resolve;

/// Fields of `ImageConfig` that are kept without a flag.
const KEPT: [&str; 8] =
    ["ImageUri", "RegistryId", "Command", "CommandList", "Args", "ArgsList", "ContainerImageAccelerate", "ImagePort"];

/// Whether a flag changes the image.
pub fn is_changed(args: &DeployArgs) -> bool {
    args.image.is_some()
        || args.command.is_some()
        || args.args.is_some()
        || args.port.is_some()
        || args.job
        || args.registry_id.is_some()
}

/// Builds the `Code` object; `kept` is the function's `ImageConfig`.
pub fn of(client: &Client, args: &DeployArgs, kept: Option<&Value>) -> anyhow::Result<Value> {
    let uri = match &args.image {
        Some(name) => Some(resolve(name, Some(client.registry()))?.to_string()),
        None => None,
    };
    Ok(json!({ "ImageConfig": image_config(uri, args, kept) }))
}

fn image_config(uri: Option<String>, args: &DeployArgs, kept: Option<&Value>) -> Value {
    let kept_field = |name: &str| Some((name.to_owned(), kept?.get(name)?.clone()));
    let mut image: Map<String, Value> = KEPT.into_iter().filter_map(kept_field).collect();
    if let Some(uri) = uri {
        image.insert("ImageUri".to_owned(), uri.into());
    }
    if let Some(id) = &args.registry_id {
        image.insert("RegistryId".to_owned(), id.as_str().into());
    }
    if let Some(port) = args.port {
        image.insert("ImagePort".to_owned(), port.into());
    }
    if args.job {
        image.insert("ImagePort".to_owned(), JOB_PORT.into());
    }
    set_argv(&mut image, "Command", args.command.as_ref());
    set_argv(&mut image, "Args", args.args.as_ref());
    // An empty text or list removes the setting.
    image.retain(|_, value| value.as_str() != Some("") && value.as_array().is_none_or(|list| !list.is_empty()));
    let image_type = if image.contains_key("RegistryId") { "enterprise" } else { "personal" };
    image.insert("ImageType".to_owned(), image_type.into());
    image.into()
}

/// Sets a command or arguments; the API's text field and list field exclude each other.
pub(in crate::commands) fn set_argv(image: &mut Map<String, Value>, field: &str, argv: Option<&Argv>) {
    let Some(argv) = argv else { return };
    let (text, list) = match argv {
        Argv::Plain(text) => (text.as_str(), &[][..]),
        Argv::List(list) => ("", list.as_slice()),
    };
    image.insert(field.to_owned(), text.into());
    image.insert(format!("{field}List"), list.into());
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn deployed(flags: &[&str], kept: Option<&Value>) -> Value {
        let cli = Cli::try_parse_from(["sampan", "deploy", "f"].iter().chain(flags)).expect("valid");
        let Command::Deploy(args) = cli.command else { panic!("a deploy") };
        image_config(args.image.clone(), &args, kept)
    }

    #[test]
    fn a_new_function_has_the_given_settings() {
        let said =
            deployed(&["--image", "r.io/a:v1", "--command", "sh", "--args", "-c \"a b\"", "--port", "8080"], None);
        let wanted = json!({
            "ImageType": "personal", "ImageUri": "r.io/a:v1", "Command": "sh", "ArgsList": ["-c", "a b"],
            "ImagePort": 8080,
        });
        assert_eq!(said, wanted);
    }

    #[test]
    fn an_update_keeps_settings_without_flags() {
        let kept = json!({
            "ImageType": "enterprise", "ImageUri": "r.io/a:v1@sha256:07", "RegistryId": "tcr-1", "EntryPoint": null,
            "Command": "", "CommandList": ["sh", "-c"], "Args": "x", "ArgsList": [], "ContainerImageAccelerate": true,
            "ImagePort": 8080,
        });
        let wanted = json!({
            "ImageType": "enterprise", "ImageUri": "r.io/a:v2", "RegistryId": "tcr-1", "CommandList": ["sh", "-c"],
            "Args": "x", "ContainerImageAccelerate": true, "ImagePort": 8080,
        });
        assert_eq!(deployed(&["--image", "r.io/a:v2"], Some(&kept)), wanted);
        let said = deployed(&["--command", "", "--args", "'a b'", "--port", "9000", "--registry-id", ""], Some(&kept));
        let wanted = json!({
            "ImageType": "personal", "ImageUri": "r.io/a:v1@sha256:07", "ArgsList": ["a b"],
            "ContainerImageAccelerate": true, "ImagePort": 9000,
        });
        assert_eq!(said, wanted);
    }
}
