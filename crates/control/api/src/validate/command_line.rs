//! `Command` and `Args` of an image: a text separated by blanks, or a list of words (`CommandList`,
//! `ArgsList`).

use types::{ApiError, CommandWords, ErrorCode};

use super::invalid;

/// Longest `Command` or `Args`, in bytes; for a list all words together.
const BYTES_MAX: usize = 4096;
/// Field whose first word is a program.
const COMMAND: &str = "Command";

/// Parses `Command` or `Args`, given as a text or as a list.
pub(crate) fn given(
    field: &'static str,
    text: Option<&str>,
    list: Option<&[String]>,
) -> Result<Option<CommandWords>, ApiError> {
    let list = list.filter(|list| !list.is_empty());
    let (of_text, of_list) = codes(field);
    let path = |suffix: &str| format!("Code.ImageConfig.{field}{suffix}");
    match (text, list) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            let problem = format!("{field} is given too, and the two exclude each other; leave one out");
            Err(invalid(of_list, &path("List"), problem))
        }
        (Some(text), None) => {
            check(&path(""), &[text], of_text)?;
            Ok(Some(CommandWords::Text(text.to_owned())))
        }
        (None, Some(list)) => {
            check(&path("List"), list, of_list)?;
            if field == COMMAND && list[0].is_empty() {
                return Err(invalid(of_list, &path("List.0"), "it is empty; the first word is the program to run"));
            }
            Ok(Some(CommandWords::List(list.to_vec())))
        }
    }
}

fn codes(field: &str) -> (ErrorCode, ErrorCode) {
    if field == COMMAND {
        return (ErrorCode::INVALID_VALUE_COMMAND, ErrorCode::INVALID_VALUE_COMMAND_LIST);
    }
    (ErrorCode::INVALID_VALUE_ARGS, ErrorCode::INVALID_VALUE_ARGS_LIST)
}

fn check(path: &str, words: &[impl AsRef<str>], code: ErrorCode) -> Result<(), ApiError> {
    let bytes: usize = words.iter().map(|word| word.as_ref().len()).sum();
    if bytes > BYTES_MAX {
        return Err(invalid(code, path, format!("it has {bytes} bytes; at most {BYTES_MAX} are allowed")));
    }
    if words.iter().any(|word| word.as_ref().contains('\0')) {
        return Err(invalid(code, path, "it contains a NUL character, which no argument of a process can hold"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &'static str, text: Option<&str>, list: &[&str]) -> Result<Option<Vec<String>>, &'static str> {
        let list: Vec<String> = list.iter().map(|word| (*word).to_owned()).collect();
        let words = given(field, text, Some(&list)).map_err(|error| error.code.name)?;
        Ok(words.map(|words| words.words()))
    }

    fn owned(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn a_text_is_split_and_a_list_is_not() {
        assert_eq!(read("Command", Some("sh -c"), &[]), Ok(owned(&["sh", "-c"])));
        assert_eq!(read("Args", None, &["echo a b", ""]), Ok(owned(&["echo a b", ""])));
        assert_eq!(read("Args", None, &[]), Ok(None));
    }

    #[test]
    fn each_wrong_form_has_its_code() {
        let long = "x".repeat(BYTES_MAX + 1);
        assert_eq!(read("Command", Some("sh"), &["sh"]), Err("InvalidParameterValue.CommandList"));
        assert_eq!(read("Args", Some("a"), &["a"]), Err("InvalidParameterValue.ArgsList"));
        assert_eq!(read("Command", None, &[""]), Err("InvalidParameterValue.CommandList"));
        assert_eq!(read("Args", None, &["a", "b\0"]), Err("InvalidParameterValue.ArgsList"));
        assert_eq!(read("Args", None, &[&long]), Err("InvalidParameterValue.ArgsList"));
        assert_eq!(read("Args", Some(&long), &[]), Err("InvalidParameterValue.Args"));
        assert_eq!(read("Command", Some("a\0"), &[]), Err("InvalidParameterValue.Command"));
    }
}
