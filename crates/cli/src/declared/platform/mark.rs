//! Ownership marks: the project's name and the item's name, so that a mark copied to another item
//! is invalid. Functions and domains have the mark as a tag; versions, aliases and triggers have no
//! tags, so their descriptions end with it.

use crate::declared::model::{FunctionName, TriggerKey};

const BEGIN: &str = "[declared by ";
const END: &str = "]";
/// Separator of project and item.
const AS: &str = " as ";
/// Separator of item and digest.
const DIGEST: &str = ", secrets ";

/// Mark as the value of a tag.
pub fn tag(project: &str, what: &str) -> String {
    format!("{project}{AS}{what}")
}

/// The project in a tag's value, if the mark is for this item.
pub fn project<'a>(tag: &'a str, what: &str) -> Option<&'a str> {
    tag.strip_suffix(what)?.strip_suffix(AS).filter(|project| !project.is_empty())
}

/// Name of an alias in its mark.
pub fn alias(function: &FunctionName, alias: &str) -> String {
    format!("{function}:{alias}")
}

/// Name of a trigger in its mark.
pub fn trigger(function: &FunctionName, TriggerKey { name, kind, qualifier }: &TriggerKey) -> String {
    format!("{kind} {name} of {function}:{qualifier}")
}

/// Appends the project's mark to a description.
pub fn with(description: &str, project: &str, what: &str) -> String {
    with_digest(description, project, what, None)
}

/// Appends the project's mark, with the digest of the trigger's secrets.
pub fn with_digest(description: &str, project: &str, what: &str, digest: Option<&str>) -> String {
    let space = if description.is_empty() { "" } else { " " };
    let digest = digest.map(|digest| format!("{DIGEST}{digest}")).unwrap_or_default();
    format!("{description}{space}{BEGIN}{}{digest}{END}", tag(project, what))
}

/// The digest of secrets in a description's mark.
pub fn digest(text: &str) -> Option<&str> {
    Some(ended(text)?.1.split_once(DIGEST)?.1)
}

/// Splits off the mark; also returns the project, if the mark is for this item.
pub fn split<'a>(text: &'a str, what: &str) -> (&'a str, Option<&'a str>) {
    let Some((description, mark)) = ended(text) else { return (text, None) };
    let mark = mark.split_once(DIGEST).map_or(mark, |(mark, _)| mark);
    (description, project(mark, what))
}

/// The project in a text's mark, for any item.
pub fn claimed(text: &str) -> Option<&str> {
    let (_, mark) = ended(text)?;
    let mark = mark.split_once(DIGEST).map_or(mark, |(mark, _)| mark);
    Some(mark.split_once(AS).map_or(mark, |(project, _)| project))
}

/// Splits a text that ends with a mark into description and the mark's content.
fn ended(text: &str) -> Option<(&str, &str)> {
    let (description, mark) = text.strip_suffix(END)?.rsplit_once(BEGIN)?;
    (!mark.is_empty()).then(|| (description.strip_suffix(' ').unwrap_or(description), mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_off_as_it_was_put_on() {
        for text in ["", "a", "a ", "see [1]", "[declared by x] b"] {
            assert_eq!(split(&with(text, "shop", "web:live"), "web:live"), (text, Some("shop")), "{text:?}");
            let marked = with_digest(text, "shop", "web:live", Some("0a1b"));
            let read = (split(&marked, "web:live"), digest(&marked));
            assert_eq!(read, ((text, Some("shop")), Some("0a1b")), "{text:?}");
            assert_eq!(digest(&with(text, "shop", "web")), None);
        }
        for text in ["", "a", "see [1]", "[declared by ]"] {
            assert_eq!((split(text, "web"), claimed(text)), ((text, None), None), "{text:?}");
        }
    }

    #[test]
    fn a_mark_of_something_else_says_nothing() {
        for (mark, what) in [("shop as web", "web2"), ("shop", "web"), (" as web", "web"), ("shop as web", "eb")] {
            assert_eq!(project(mark, what), None, "{mark:?} of {what}");
            assert_eq!(split(&format!("text [declared by {mark}]"), what), ("text", None), "{mark:?} of {what}");
        }
        assert_eq!(project("shop as team/web", "team/web"), Some("shop"));
        for text in ["x [declared by blog as web, secrets 00]", "[declared by blog, secrets 00]", "[declared by blog]"]
        {
            assert_eq!(claimed(text), Some("blog"));
        }
    }
}
