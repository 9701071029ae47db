//! Rewrites messages of the API for the CLI: actions and fields become commands and options.

/// Actions in messages, and their commands.
const COMMANDS: [(&str, &str); 7] = [
    ("UpdateFunctionCode or UpdateFunctionConfiguration", "`sampan deploy`"),
    ("UpdateFunctionConfiguration", "`sampan deploy`"),
    ("UpdateFunctionCode", "`sampan deploy`"),
    ("PublishVersion", "`sampan publish`"),
    ("DeleteFunction", "`sampan delete`"),
    ("DeleteAlias", "`sampan alias delete`"),
    ("GetFunctionLogs", "`sampan logs NAME --request-id ID`"),
];

/// Fields at the beginning of messages, and their options.
const OPTIONS: [(&str, &str); 11] = [
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
];

/// Replaces actions and fields in a message.
pub fn named(message: &str) -> String {
    let message = match message.split_once(": ") {
        Some((field, rest)) => format!("{}: {rest}", option(field)),
        None => message.to_owned(),
    };
    COMMANDS.iter().fold(message, |text, (action, command)| replaced(&text, action, command))
}

/// The option of a field, which may be indexed (`Environment.Variables.3.Key`, `CommandList`).
fn option(field: &str) -> &str {
    let of = |name: &str| {
        let rest = field.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with("List"))
    };
    OPTIONS.iter().find(|(name, _)| of(name)).map_or(field, |(_, option)| option)
}

/// Replaces whole words only.
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
            ("MemorySizes: it is", "MemorySizes: it is"),
            ("function f: no", "function f: no"),
        ] {
            assert_eq!(named(said), shown);
        }
    }

    #[test]
    fn actions_become_commands() {
        let said = named("mend what failed with UpdateFunctionCode or UpdateFunctionConfiguration, and wait");
        assert_eq!(said, "mend what failed with `sampan deploy`, and wait");
        assert_eq!(named("publish one with PublishVersion"), "publish one with `sampan publish`");
        assert_eq!(named("DeleteFunctionVersion failed"), "DeleteFunctionVersion failed");
        assert_eq!(named("function f is Creating"), "function f is Creating");
    }
}
