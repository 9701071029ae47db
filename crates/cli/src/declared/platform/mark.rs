//! Which project made a version, an alias or a trigger: they have no tags, so their descriptions
//! end with it.

const BEGIN: &str = "[declared by ";
const END: &str = "]";
/// What stands between the project and a digest.
const DIGEST: &str = ", secrets ";

/// The description with the project's mark.
pub fn with(description: &str, project: &str) -> String {
    let space = if description.is_empty() { "" } else { " " };
    format!("{description}{space}{BEGIN}{project}{END}")
}

/// The description with the project's mark, and in it the digest of what answers hide.
pub fn with_digest(description: &str, project: &str, digest: Option<&str>) -> String {
    match digest {
        Some(digest) => with(description, &format!("{project}{DIGEST}{digest}")),
        None => with(description, project),
    }
}

/// The digest in a description's mark.
pub fn digest(text: &str) -> Option<&str> {
    let (_, mark) = text.strip_suffix(END)?.rsplit_once(BEGIN)?;
    Some(mark.split_once(DIGEST)?.1)
}

/// The description without the mark, and the project.
pub fn split(text: &str) -> (&str, Option<&str>) {
    let marked = text.strip_suffix(END).and_then(|text| text.rsplit_once(BEGIN));
    match marked {
        Some((description, mark)) if !mark.is_empty() => {
            let project = mark.split_once(DIGEST).map_or(mark, |(project, _)| project);
            (description.strip_suffix(' ').unwrap_or(description), Some(project))
        }
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_off_as_it_was_put_on() {
        for text in ["", "a", "a ", "see [1]", "[declared by x] b"] {
            assert_eq!(split(&with(text, "shop")), (text, Some("shop")), "{text:?}");
            let marked = with_digest(text, "shop", Some("0a1b"));
            assert_eq!((split(&marked), digest(&marked)), ((text, Some("shop")), Some("0a1b")), "{text:?}");
            assert_eq!(digest(&with(text, "shop")), None);
        }
        for text in ["", "a", "see [1]", "[declared by ]"] {
            assert_eq!(split(text), (text, None), "{text:?}");
        }
    }
}
