//! All functions of a catalog by their key, with an index of the keys without letter case. Must not know who looks.
//!
//! Host names carry no letter case while names do. With the index each look-up is one of a hash table, however many functions
//! there are and whether or not one is found.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::catalog::CatalogFunction;
use crate::ids::FunctionKey;

/// Functions by key. Reads like the map that it derefs to; every change goes through [`FunctionMap::insert`] and
/// [`FunctionMap::remove`], which keep the index.
#[derive(Debug, Clone, Default)]
pub struct FunctionMap {
    by_key: HashMap<FunctionKey, Arc<CatalogFunction>>,
    /// `namespace/name` in lower case, and the keys that are this without letter case, in their order. Shared by all snapshots
    /// in which it is the same.
    folded: HashMap<Arc<str>, Arc<[FunctionKey]>>,
}

impl FunctionMap {
    /// Adds a function, or replaces the one of the same key.
    pub fn insert(&mut self, key: FunctionKey, function: Arc<CatalogFunction>) {
        if self.by_key.insert(key.clone(), function).is_none() {
            let folded = folded(key.namespace.as_str(), key.name.as_str());
            let mut keys = self.similar(&folded).to_vec();
            let place = keys.partition_point(|other| *other < key);
            keys.insert(place, key);
            self.folded.insert(folded.into(), keys.into());
        }
    }

    /// Takes a function out.
    pub fn remove(&mut self, key: &FunctionKey) {
        if self.by_key.remove(key).is_none() {
            return;
        }
        let folded = folded(key.namespace.as_str(), key.name.as_str());
        let left: Arc<[FunctionKey]> = self.similar(&folded).iter().filter(|other| *other != key).cloned().collect();
        match left.is_empty() {
            true => drop(self.folded.remove(folded.as_str())),
            false => drop(self.folded.insert(folded.into(), left)),
        }
    }

    /// The keys that are `folded`, `namespace/name` in lower case, when letter case is left out. One look-up of a hash table.
    pub fn similar(&self, folded: &str) -> &[FunctionKey] {
        self.folded.get(folded).map_or(&[], |keys| keys)
    }
}

/// How [`FunctionMap::similar`] wants a name.
fn folded(namespace: &str, name: &str) -> String {
    let mut text = String::with_capacity(namespace.len() + 1 + name.len());
    text.push_str(namespace);
    text.push('/');
    text.push_str(name);
    text.make_ascii_lowercase();
    text
}

impl Deref for FunctionMap {
    type Target = HashMap<FunctionKey, Arc<CatalogFunction>>;

    fn deref(&self) -> &Self::Target {
        &self.by_key
    }
}

impl FromIterator<(FunctionKey, Arc<CatalogFunction>)> for FunctionMap {
    fn from_iter<I: IntoIterator<Item = (FunctionKey, Arc<CatalogFunction>)>>(functions: I) -> Self {
        let mut map = Self::default();
        functions.into_iter().for_each(|(key, function)| map.insert(key, function));
        map
    }
}

impl<'a> IntoIterator for &'a FunctionMap {
    type Item = (&'a FunctionKey, &'a Arc<CatalogFunction>);
    type IntoIter = std::collections::hash_map::Iter<'a, FunctionKey, Arc<CatalogFunction>>;

    fn into_iter(self) -> Self::IntoIter {
        self.by_key.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::function::{FunctionKind, FunctionRecord, Status};
    use crate::ids::FunctionId;

    fn key(namespace: &str, name: &str) -> FunctionKey {
        FunctionKey { namespace: namespace.parse().expect("valid"), name: name.parse().expect("valid") }
    }

    fn entry(key: &FunctionKey) -> (FunctionKey, Arc<CatalogFunction>) {
        let record = FunctionRecord {
            id: FunctionId::random(),
            key: key.clone(),
            kind: FunctionKind::Http,
            protocol: None,
            async_run: false,
            trace: false,
            tags: Vec::new(),
            added_ms: 0,
            modified_ms: 0,
        };
        let function = CatalogFunction {
            record: Arc::new(record),
            status: Status::Active,
            versions: BTreeMap::new(),
            aliases: BTreeMap::new(),
            reserved_mb: None,
            provisioned: BTreeMap::new(),
        };
        (key.clone(), Arc::new(function))
    }

    #[test]
    fn names_are_found_without_their_letter_case_as_long_as_they_are_there() {
        let (lower, upper, other) = (key("default", "twin"), key("Default", "Twin"), key("default", "single"));
        let mut map: FunctionMap = [&lower, &upper, &other].map(entry).into_iter().collect();
        assert_eq!(map.similar("default/twin"), [upper.clone(), lower.clone()]);
        assert_eq!(map.similar("default/single"), [other]);
        assert!(map.similar("default/none").is_empty() && map.similar("").is_empty());

        let (again, newer) = entry(&lower);
        map.insert(again, Arc::clone(&newer));
        assert_eq!(map.similar("default/twin").len(), 2, "the same function is not listed twice");
        assert!(Arc::ptr_eq(&map[&lower], &newer));

        map.remove(&upper);
        map.remove(&upper);
        assert_eq!(map.similar("default/twin"), std::slice::from_ref(&lower));
        map.remove(&lower);
        assert!(map.similar("default/twin").is_empty());
        assert_eq!((map.len(), map.folded.len()), (1, 1), "nothing of a removed function stays");
    }

    #[test]
    fn a_snapshot_shares_what_it_did_not_change() {
        let map: FunctionMap = [entry(&key("default", "one"))].into_iter().collect();
        let mut next = map.clone();
        let (key, function) = entry(&key("default", "two"));
        next.insert(key, function);
        assert!(Arc::ptr_eq(&map.folded["default/one"], &next.folded["default/one"]));
        assert!(map.similar("default/two").is_empty());
    }
}
