//! Folds flattened parameters (`A.B.0.C=v`) back into objects and lists. Pure.

use std::collections::BTreeMap;

use types::{ApiError, ErrorCode};

/// Deepest nesting; the API's deepest field has six levels.
const DEPTH_MAX: usize = 16;

/// A parameter: a text, or named fields. The type that is deserialized decides between object and
/// list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// A value.
    Text(String),
    /// Values by name or number.
    Fields(BTreeMap<String, Tree>),
}

impl Tree {
    /// Folds pairs.
    ///
    /// # Errors
    /// `InvalidParameter` for a name that is given twice, both with and without fields, or nested
    /// too deeply.
    pub(crate) fn of_pairs(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let mut root = BTreeMap::new();
        for (name, value) in pairs {
            insert(&mut root, name, value).map_err(|problem| {
                let name: String = name.chars().take(200).collect();
                ApiError::new(ErrorCode::INVALID_PARAMETER, format!("{name}: {problem}"))
            })?;
        }
        Ok(Self::Fields(root))
    }
}

fn insert(mut fields: &mut BTreeMap<String, Tree>, name: &str, value: &str) -> Result<(), String> {
    let segments: Vec<&str> = name.split('.').collect();
    if segments.len() > DEPTH_MAX {
        return Err(format!("the name has more than {DEPTH_MAX} parts"));
    }
    let (last, parents) = segments.split_last().expect("splitting gives at least one part");
    for parent in parents {
        let below = fields.entry((*parent).to_owned()).or_insert_with(|| Tree::Fields(BTreeMap::new()));
        match below {
            Tree::Fields(below) => fields = below,
            Tree::Text(_) => return Err("it is given both as a value and with fields".to_owned()),
        }
    }
    match fields.insert((*last).to_owned(), Tree::Text(value.to_owned())) {
        None => Ok(()),
        Some(Tree::Text(_)) => Err("it is given more than once".to_owned()),
        Some(Tree::Fields(_)) => Err("it is given both as a value and with fields".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(pairs: &[(&str, &str)]) -> Result<Tree, String> {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Tree::of_pairs(&pairs).map_err(|error| error.message)
    }

    fn text(text: &str) -> Tree {
        Tree::Text(text.to_owned())
    }

    fn fields<const N: usize>(fields: [(&str, Tree); N]) -> Tree {
        Tree::Fields(fields.into_iter().map(|(name, tree)| (name.to_owned(), tree)).collect())
    }

    #[test]
    fn dots_become_levels() {
        let tree = folded(&[("A.B.0", "x"), ("A.B.1", "y"), ("C", "")]).expect("well-formed");
        let list = fields([("0", text("x")), ("1", text("y"))]);
        assert_eq!(tree, fields([("A", fields([("B", list)])), ("C", text(""))]));
    }

    #[test]
    fn contradictions_are_named() {
        assert_eq!(folded(&[("A", "1"), ("A", "2")]), Err("A: it is given more than once".to_owned()));
        for pairs in [[("A", "1"), ("A.B", "2")], [("A.B", "1"), ("A", "2")]] {
            assert!(folded(&pairs).expect_err("contradiction").contains("both as a value and with fields"));
        }
        let deep = ["a"; DEPTH_MAX + 1].join(".");
        assert!(folded(&[(&deep, "1")]).expect_err("too deep").contains("more than 16 parts"));
    }

    proptest! {
        #[test]
        fn no_names_panic(pairs in prop::collection::vec(("[a-c.0-2]{0,12}", "[a-z]{0,3}"), 0..12)) {
            let _ = Tree::of_pairs(&pairs);
        }
    }
}
