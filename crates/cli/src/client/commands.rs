//! Rewrites the API's messages for the CLI: actions and fields become commands and options.

/// Actions and function types in messages, with their words on the command line.
const COMMANDS: [(&str, &str); 8] = [
    ("UpdateFunctionCode or UpdateFunctionConfiguration", "`sampan deploy`"),
    ("UpdateFunctionConfiguration", "`sampan deploy`"),
    ("UpdateFunctionCode", "`sampan deploy`"),
    ("PublishVersion", "`sampan publish`"),
    ("DeleteFunction", "`sampan delete`"),
    ("DeleteAlias", "`sampan alias delete`"),
    ("GetFunctionLogs", "`sampan logs NAME --request-id ID`"),
    ("of type HTTP", "of type web"),
];

/// Fields at the beginning of messages, with their options.
const OPTIONS: [(&str, &str); 18] = [
    ("InvokeRequestId", "ID"),
    ("MemorySize", "--memory"),
    ("Timeout", "--timeout"),
    ("InitTimeout", "--init-timeout"),
    ("Description", "--description"),
    ("Code.ImageConfig.ImageUri", "--image"),
    ("Code.ImageConfig.ImagePort", "--port"),
    ("Code.ImageConfig.Command", "--command"),
    ("Code.ImageConfig.Args", "--args"),
    ("Code.ImageConfig.RegistryId", "--registry-id"),
    ("InstanceConcurrencyConfig.MaxConcurrency", "--concurrency"),
    ("Environment.Variables", "--env"),
    ("FunctionVersion", "--version"),
    ("RoutingConfig.AdditionalVersionWeights", "--weight"),
    ("RoutingConfig.AddtionVersionMatchs", "--match"),
    ("RoutingConfig", "--weight or --match"),
    ("TriggerDesc", "--cron or --desc"),
    ("CustomArgument", "--argument"),
];

/// Command-line word for a function type: `deploy --type web` creates type `HTTP`.
pub fn function_type(of_api: &str) -> &str {
    match of_api {
        "HTTP" => "web",
        "Event" => "event",
        other => other,
    }
}

/// Replaces actions and fields in a message.
pub fn named(message: &str) -> String {
    let message = match message.split_once(": ") {
        Some((field, rest)) => match field.strip_prefix("TriggerDesc.") {
            Some(of_desc) => format!("--desc: {of_desc} {rest}"),
            None => format!("{}: {rest}", option(field)),
        },
        None => message.to_owned(),
    };
    COMMANDS.iter().fold(message, |text, (action, command)| replaced(&text, action, command))
}

/// Option for a field, which may have indexes (`Environment.Variables.3.Key`, `CommandList`).
fn option(field: &str) -> &str {
    let of = |name: &str| {
        let rest = field.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with("List"))
    };
    OPTIONS.iter().find(|(name, _)| of(name)).map_or(field, |(_, option)| option)
}

/// Replaces a word, but not parts of longer words.
fn replaced(text: &str, word: &str, by: &str) -> String {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(word) {
        let inside = after.starts_with(char::is_alphanumeric) || before.ends_with(char::is_alphanumeric);
        done.push_str(before);
        done.push_str(if inside { word } else { by });
        rest = after;
    }
    done + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_options() {
        for (said, shown) in [
            ("MemorySize: 100 MB is not allowed", "--memory: 100 MB is not allowed"),
            ("Environment.Variables.0.Key: it is", "--env: it is"),
            ("Code.ImageConfig.ArgsList: it is", "--args: it is"),
            ("RoutingConfig.AdditionalVersionWeights.0.Weight: it is", "--weight: it is"),
            ("RoutingConfig: it is", "--weight or --match: it is"),
            ("FunctionVersion: it is", "--version: it is"),
            ("MemorySizes: it is", "MemorySizes: it is"),
            ("TriggerDesc: it never comes", "--cron or --desc: it never comes"),
            ("TriggerDesc.Scheme: is required", "--desc: Scheme is required"),
            ("function f: no", "function f: no"),
        ] {
            assert_eq!(named(said), shown);
        }
    }

    #[test]
    fn actions_become_commands() {
        let said = named("mend what failed with UpdateFunctionCode or UpdateFunctionConfiguration, and wait");
        assert_eq!(said, "mend what failed with `sampan deploy`, and wait");
        assert_eq!(named("only functions of type HTTP have it"), "only functions of type web have it");
        assert_eq!(["HTTP", "Event", "new"].map(function_type), ["web", "event", "new"]);
        assert_eq!(named("publish one with PublishVersion"), "publish one with `sampan publish`");
        assert_eq!(named("DeleteFunctionVersion failed"), "DeleteFunctionVersion failed");
        assert_eq!(named("function f is Creating"), "function f is Creating");
    }
}
