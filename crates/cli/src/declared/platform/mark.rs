//! Which project made a version, an alias or a trigger: they have no tags, so their descriptions
//! end with it.

const BEGIN: &str = "[declared by ";
const END: &str = "]";

/// The description with the project's mark.
pub fn with(description: &str, project: &str) -> String {
    let space = if description.is_empty() { "" } else { " " };
    format!("{description}{space}{BEGIN}{project}{END}")
}

/// The description without the mark, and the project.
pub fn split(text: &str) -> (&str, Option<&str>) {
    let marked = text.strip_suffix(END).and_then(|text| text.rsplit_once(BEGIN));
    match marked {
        Some((description, project)) if !project.is_empty() => {
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
        }
        for text in ["", "a", "see [1]", "[declared by ]"] {
            assert_eq!(split(text), (text, None), "{text:?}");
        }
    }
}
