//! Which project made something: its name, and what it made by that name, so that a mark that was
//! copied to something else says nothing. Functions and domains have it as a tag; versions, aliases
//! and triggers have no tags, so their descriptions end with it.

use crate::declared::model::{FunctionName, TriggerKey};

const BEGIN: &str = "[declared by ";
const END: &str = "]";
/// What stands between the project and what it made.
const AS: &str = " as ";
/// What stands between that and a digest.
const DIGEST: &str = ", secrets ";

/// The value of a tag.
pub fn tag(project: &str, what: &str) -> String {
    format!("{project}{AS}{what}")
}

/// The project in the value of a tag, if the tag is this one's.
pub fn project<'a>(tag: &'a str, what: &str) -> Option<&'a str> {
    tag.strip_suffix(what)?.strip_suffix(AS).filter(|project| !project.is_empty())
}

/// What the mark of an alias names.
pub fn alias(function: &FunctionName, alias: &str) -> String {
    format!("{function}:{alias}")
}

/// What the mark of a trigger names.
pub fn trigger(function: &FunctionName, TriggerKey { name, kind, qualifier }: &TriggerKey) -> String {
    format!("{kind} {name} of {function}:{qualifier}")
}

/// The description with the project's mark.
pub fn with(description: &str, project: &str, what: &str) -> String {
    with_digest(description, project, what, None)
}

/// The description with the project's mark, and in it the digest of what answers hide.
pub fn with_digest(description: &str, project: &str, what: &str, digest: Option<&str>) -> String {
    let space = if description.is_empty() { "" } else { " " };
    let digest = digest.map(|digest| format!("{DIGEST}{digest}")).unwrap_or_default();
    format!("{description}{space}{BEGIN}{}{digest}{END}", tag(project, what))
}

/// The digest in a description's mark.
pub fn digest(text: &str) -> Option<&str> {
    Some(ended(text)?.1.split_once(DIGEST)?.1)
}

/// The description without a mark, and the project, if the mark is this one's.
pub fn split<'a>(text: &'a str, what: &str) -> (&'a str, Option<&'a str>) {
    let Some((description, mark)) = ended(text) else { return (text, None) };
    let mark = mark.split_once(DIGEST).map_or(mark, |(mark, _)| mark);
    (description, project(mark, what))
}

/// The project that a text says made something, whatever that is.
pub fn claimed(text: &str) -> Option<&str> {
    let (_, mark) = ended(text)?;
    let mark = mark.split_once(DIGEST).map_or(mark, |(mark, _)| mark);
    Some(mark.split_once(AS).map_or(mark, |(project, _)| project))
}

/// A text that ends as a mark does, and what is in the mark.
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
