//! Messages of the API as the command line shows them: with the command in place of the action that a reader would have to
//! look up.

/// Actions that messages advise, and the commands for them.
const COMMANDS: [(&str, &str); 6] = [
    ("UpdateFunctionCode or UpdateFunctionConfiguration", "`sampan deploy`"),
    ("UpdateFunctionConfiguration", "`sampan deploy`"),
    ("UpdateFunctionCode", "`sampan deploy`"),
    ("PublishVersion", "`sampan publish`"),
    ("DeleteFunction", "`sampan delete`"),
    ("DeleteAlias", "`sampan alias delete`"),
];

/// A message that names commands.
pub fn named(message: &str) -> String {
    COMMANDS.iter().fold(message.to_owned(), |text, (action, command)| replaced(&text, action, command))
}

/// Replaces a word where it is a whole one.
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
    fn actions_become_commands() {
        let said = named("mend what failed with UpdateFunctionCode or UpdateFunctionConfiguration, and wait");
        assert_eq!(said, "mend what failed with `sampan deploy`, and wait");
        assert_eq!(named("publish one with PublishVersion"), "publish one with `sampan publish`");
        assert_eq!(named("DeleteFunctionVersion failed"), "DeleteFunctionVersion failed");
        assert_eq!(named("function f is Creating"), "function f is Creating");
    }
}
