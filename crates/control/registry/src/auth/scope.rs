//! Scopes of tokens in the syntax of docker's registry (`repository:NAME:pull,push`, several
//! separated by spaces). Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::Repository;

/// Actions allowed by a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "Vec<String>", from = "Vec<String>")]
pub struct Actions {
    /// Read manifests, blobs and lists.
    pub pull: bool,
    /// Upload blobs and put manifests.
    pub push: bool,
    /// Delete tags, manifests and blobs.
    pub delete: bool,
}

impl Actions {
    /// Reading only.
    pub const PULL: Self = Self { pull: true, push: false, delete: false };
    /// Reading and writing: what clients request for a push.
    pub const PUSH: Self = Self { pull: true, push: true, delete: false };
    /// Deleting only.
    pub const DELETE: Self = Self { pull: false, push: false, delete: true };
    /// Everything (`*`).
    pub const ALL: Self = Self { pull: true, push: true, delete: true };

    /// Whether these include all of `wanted`.
    pub fn include(self, wanted: Self) -> bool {
        (self.pull || !wanted.pull) && (self.push || !wanted.push) && (self.delete || !wanted.delete)
    }

    fn with(self, word: &str) -> Self {
        match word {
            "pull" => Self { pull: true, ..self },
            "push" => Self { push: true, ..self },
            "delete" => Self { delete: true, ..self },
            "*" => Self::ALL,
            // Unknown actions grant nothing.
            _ => self,
        }
    }

    fn words(self) -> impl Iterator<Item = &'static str> {
        [(self.pull, "pull"), (self.push, "push"), (self.delete, "delete")]
            .into_iter()
            .filter_map(|(set, word)| set.then_some(word))
    }
}

impl From<Actions> for Vec<String> {
    fn from(actions: Actions) -> Self {
        actions.words().map(str::to_owned).collect()
    }
}

impl From<Vec<String>> for Actions {
    fn from(words: Vec<String>) -> Self {
        words.iter().fold(Self::default(), |actions, word| actions.with(word))
    }
}

/// Type of a scope's resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A repository.
    Repository,
    /// The registry as a whole; its only name is `catalog`.
    Registry,
}

/// A scope. Serialises as an element of a token's `access` claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Type of the resource.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Name of the repository, or `catalog`.
    pub name: String,
    /// Allowed actions.
    pub actions: Actions,
}

impl Scope {
    /// Actions in one repository.
    pub fn repository(name: impl Into<String>, actions: Actions) -> Self {
        Self { kind: Kind::Repository, name: name.into(), actions }
    }

    /// Listing the repositories.
    pub fn catalog() -> Self {
        Self { kind: Kind::Registry, name: "catalog".to_owned(), actions: Actions::ALL }
    }

    /// Parses a scope. `None` for resources that this registry lacks: requesting them is not an
    /// error, they are not granted.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        // The name may contain colons (docker's grammar allows a host in front): the actions follow
        // the last one.
        let (name, actions) = rest.rsplit_once(':')?;
        // `repository(plugin)`: the class is ignored.
        let kind = kind.split_once('(').map_or(kind, |(kind, _class)| kind);
        let kind = match kind {
            "repository" if Repository::parse(name).is_some() => Kind::Repository,
            "registry" if name == "catalog" => Kind::Registry,
            _ => return None,
        };
        let actions = actions.split(',').fold(Actions::default(), Actions::with);
        (actions != Actions::default()).then(|| Self { kind, name: name.to_owned(), actions })
    }

    /// Parses the scopes of one parameter, separated by spaces.
    pub fn parse_all(text: &str) -> impl Iterator<Item = Self> {
        text.split(' ').filter_map(Self::parse)
    }

    /// Whether `wanted` is within this scope.
    pub fn covers(&self, wanted: &Self) -> bool {
        self.kind == wanted.kind && self.name == wanted.name && self.actions.include(wanted.actions)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Repository => write!(f, "repository:{}:", self.name)?,
            // The catalog has one action, which clients write as a star.
            Kind::Registry => return write!(f, "registry:{}:*", self.name),
        }
        for (i, word) in self.actions.words().enumerate() {
            write!(f, "{}{word}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scopes_of_clients_are_parsed() {
        for (text, printed) in [
            ("repository:a/b:pull", Some("repository:a/b:pull")),
            ("repository:a:push,pull", Some("repository:a:pull,push")),
            ("repository:a:*", Some("repository:a:pull,push,delete")),
            ("repository(plugin):a:pull,fly", Some("repository:a:pull")),
            ("registry:catalog:*", Some("registry:catalog:*")),
            ("registry:other:*", None),
            ("repository:a:", None),
            ("repository:a:fly", None),
            ("repository:localhost:5000/a:pull", None),
            ("repository:A:pull", None),
            ("repository:a", None),
            ("", None),
        ] {
            assert_eq!(Scope::parse(text).map(|s| s.to_string()).as_deref(), printed, "{text}");
        }
        assert_eq!(Scope::parse_all("repository:a:pull  repository:b:push nonsense").count(), 2);
    }

    #[test]
    fn a_scope_covers_its_subsets() {
        let push = Scope::repository("a", Actions::PUSH);
        assert!(push.covers(&Scope::repository("a", Actions::PULL)));
        assert!(!push.covers(&Scope::repository("b", Actions::PULL)));
        assert!(!push.covers(&Scope::repository("a", Actions::DELETE)));
        assert!(!push.covers(&Scope::catalog()));
    }

    proptest! {
        #[test]
        fn a_parsed_scope_prints_to_an_equal_one(text in "(repository|registry):[a-z/:]{0,10}:[a-z*,]{0,20}") {
            if let Some(scope) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(&scope.to_string()), Some(scope));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,100}") {
            let _ = Scope::parse_all(&text).count();
        }
    }
}
