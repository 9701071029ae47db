//! Callees of invocations: function, version and qualifier. Rows and index entries share a callee,
//! which is encoded once.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use types::{FunctionKey, Qualifier, VersionName};

/// Callees in the cache; it is cleared when there are more.
const CALLEES_MAX: usize = 4096;

/// A function, a version and the qualifier that led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Callee {
    pub(crate) key: FunctionKey,
    pub(crate) version: VersionName,
    pub(crate) qualifier: Qualifier,
    /// `"SCF_Namespace":"…","SCF_FunctionName":"…","SCF_Qualifier":"…"`, and `,"SCF_Alias":"…"` for
    /// an alias.
    pub(crate) fields: Box<str>,
}

impl Callee {
    pub(crate) fn new(key: FunctionKey, version: VersionName, qualifier: Qualifier) -> Self {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let mut fields = format!(
            r#""SCF_Namespace":{},"SCF_FunctionName":{},"SCF_Qualifier":{}"#,
            json(key.namespace.as_str()),
            json(key.name.as_str()),
            json(&version.to_string())
        );
        if let Qualifier::Alias(name) = &qualifier {
            fields.push_str(r#","SCF_Alias":"#);
            fields.push_str(&json(name));
        }
        Self { key, version, qualifier, fields: fields.into() }
    }

    /// Whether `qualifier` resolves to it: its alias, or its version.
    pub(crate) fn is_named(&self, qualifier: &str) -> bool {
        matches!(&self.qualifier, Qualifier::Alias(name) if **name == *qualifier)
            || qualifier == self.version.to_string()
    }
}

/// A cache of callees.
#[derive(Debug, Default)]
pub(crate) struct Callees {
    /// By a hash of the names, so that a lookup allocates no key.
    by_hash: HashMap<u64, Vec<Arc<Callee>>, foldhash::fast::RandomState>,
}

impl Callees {
    /// The callee with these names.
    pub(crate) fn get(&mut self, key: &FunctionKey, version: VersionName, qualifier: &Qualifier) -> Arc<Callee> {
        let hash = self.by_hash.hasher().hash_one((key.namespace.as_str(), key.name.as_str(), version, qualifier));
        if self.by_hash.len() >= CALLEES_MAX {
            self.by_hash.clear();
        }
        let same_hash = self.by_hash.entry(hash).or_default();
        let is_same =
            |callee: &&Arc<Callee>| callee.version == version && callee.qualifier == *qualifier && callee.key == *key;
        if let Some(found) = same_hash.iter().find(is_same) {
            return found.clone();
        }
        let callee = Arc::new(Callee::new(key.clone(), version, qualifier.clone()));
        same_hash.push(callee.clone());
        callee
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::function;

    #[test]
    fn one_callee_is_shared_and_others_are_their_own() {
        let mut callees = Callees::default();
        let (hello, prod) = (&function("hello").key, Qualifier::Alias("prod".into()));
        let first = callees.get(hello, VersionName::Number(3), &prod);
        assert!(Arc::ptr_eq(&first, &callees.get(hello, VersionName::Number(3), &prod)));
        assert_eq!(
            &*first.fields,
            r#""SCF_Namespace":"default","SCF_FunctionName":"hello","SCF_Qualifier":"3","SCF_Alias":"prod""#
        );
        for (name, version) in [("other", 3), ("hello", 4)] {
            assert_ne!(callees.get(&function(name).key, VersionName::Number(version), &prod), first);
        }
        assert!(first.is_named("prod") && first.is_named("3") && !first.is_named("4") && !first.is_named("$LATEST"));
    }
}
