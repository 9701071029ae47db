//! All functions of a catalog by key, with an index of case-folded keys, as persistent hash tries.
//!
//! Host names are case-insensitive, function names are not. With the index every lookup is one of a
//! hash trie, independent of the number of functions and of the result. A clone shares its nodes
//! with the original; a change copies the path to one entry, so that the cost of the next snapshot
//! does not grow with the number of functions.

use std::ops::Index;
use std::sync::Arc;

use rpds::HashTrieMapSync;

use crate::catalog_function::CatalogFunction;
use crate::ids::FunctionKey;

/// Functions by key; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct FunctionMap {
    by_key: HashTrieMapSync<FunctionKey, Arc<CatalogFunction>>,
    /// Maps `namespace/name` in lower case to all keys that equal it except for case, sorted.
    folded: HashTrieMapSync<Arc<str>, Arc<[FunctionKey]>>,
    committed_mb: u128,
}

impl FunctionMap {
    /// Inserts a function; returns a replaced function of the same key.
    pub fn insert(&mut self, key: FunctionKey, function: Arc<CatalogFunction>) -> Option<Arc<CatalogFunction>> {
        self.committed_mb += u128::from(function.committed_mb());
        let replaced = self.by_key.get(&key).cloned();
        match &replaced {
            Some(old) => self.committed_mb -= u128::from(old.committed_mb()),
            None => self.index(&key),
        }
        self.by_key.insert_mut(key, function);
        replaced
    }

    /// Removes a function and returns it.
    pub fn remove(&mut self, key: &FunctionKey) -> Option<Arc<CatalogFunction>> {
        let removed = self.by_key.get(key).cloned()?;
        self.committed_mb -= u128::from(removed.committed_mb());
        self.by_key.remove_mut(key);
        let folded = folded(key.namespace.as_str(), key.name.as_str());
        let left: Arc<[FunctionKey]> = self.similar(&folded).iter().filter(|other| *other != key).cloned().collect();
        match left.is_empty() {
            true => drop(self.folded.remove_mut(folded.as_str())),
            false => self.folded.insert_mut(folded.into(), left),
        }
        Some(removed)
    }

    fn index(&mut self, key: &FunctionKey) {
        let folded = folded(key.namespace.as_str(), key.name.as_str());
        let mut keys = self.similar(&folded).to_vec();
        let place = keys.partition_point(|other| other < key);
        keys.insert(place, key.clone());
        self.folded.insert_mut(folded.into(), keys.into());
    }

    /// The function of a key.
    pub fn get(&self, key: &FunctionKey) -> Option<&Arc<CatalogFunction>> {
        self.by_key.get(key)
    }

    /// The function of a key, with the key stored in the map.
    pub fn get_key_value(&self, key: &FunctionKey) -> Option<(&FunctionKey, &Arc<CatalogFunction>)> {
        self.by_key.get_key_value(key)
    }

    /// Whether the function exists.
    pub fn contains_key(&self, key: &FunctionKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// The keys that equal `folded`, `namespace/name` in lower case, except for case.
    pub fn similar(&self, folded: &str) -> &[FunctionKey] {
        self.folded.get(folded).map_or(&[], |keys| keys)
    }

    /// All functions, unordered.
    pub fn iter(&self) -> impl Iterator<Item = (&FunctionKey, &Arc<CatalogFunction>)> {
        self.by_key.iter()
    }

    /// All functions, unordered.
    pub fn values(&self) -> impl Iterator<Item = &Arc<CatalogFunction>> {
        self.by_key.values()
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.by_key.size()
    }

    /// Whether there are no functions.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Sum of [`CatalogFunction::committed_mb`] over all functions; maintained with each change.
    pub fn committed_mb(&self) -> u64 {
        u64::try_from(self.committed_mb).unwrap_or(u64::MAX)
    }
}

/// The argument of [`FunctionMap::similar`] for a name.
fn folded(namespace: &str, name: &str) -> String {
    let mut text = String::with_capacity(namespace.len() + 1 + name.len());
    text.push_str(namespace);
    text.push('/');
    text.push_str(name);
    text.make_ascii_lowercase();
    text
}

impl Index<&FunctionKey> for FunctionMap {
    type Output = Arc<CatalogFunction>;

    fn index(&self, key: &FunctionKey) -> &Self::Output {
        &self.by_key[key]
    }
}

impl FromIterator<(FunctionKey, Arc<CatalogFunction>)> for FunctionMap {
    fn from_iter<I: IntoIterator<Item = (FunctionKey, Arc<CatalogFunction>)>>(functions: I) -> Self {
        let mut map = Self::default();
        for (key, function) in functions {
            map.insert(key, function);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::alias_map::AliasMap;
    use crate::function::{FunctionKind, FunctionRecord, Status};
    use crate::ids::FunctionId;

    fn key(namespace: &str, name: &str) -> FunctionKey {
        FunctionKey { namespace: namespace.parse().expect("valid"), name: name.parse().expect("valid") }
    }

    fn entry(key: &FunctionKey) -> (FunctionKey, Arc<CatalogFunction>) {
        entry_of(key, None)
    }

    fn entry_of(key: &FunctionKey, reserved_mb: Option<u64>) -> (FunctionKey, Arc<CatalogFunction>) {
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
            aliases: AliasMap::default(),
            reserved_mb,
            provisioned: BTreeMap::new(),
            event_invoke: Default::default(),
            triggers: Vec::new(),
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
        assert_eq!((map.len(), map.folded.size()), (1, 1), "nothing of a removed function stays");
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

    /// Number of references that a change copied to entries other than its own, for a map of
    /// `functions` functions.
    fn copied(functions: usize) -> usize {
        let keys: Vec<_> = (0..functions).map(|number| key("default", &format!("function-{number}"))).collect();
        let map: FunctionMap = keys.iter().map(entry).collect();
        let (mut next, changed) = (map.clone(), &keys[functions / 2]);
        next.insert(changed.clone(), entry(changed).1);
        next.insert(key("default", "another"), entry(&key("default", "another")).1);
        next.remove(&keys[0]);
        let shared =
            |key: &&FunctionKey| Arc::strong_count(&map[key]) + Arc::strong_count(&map.folded[&*fold(key)]) > 2;
        keys.iter().filter(shared).count()
    }

    fn fold(key: &FunctionKey) -> String {
        folded(key.namespace.as_str(), key.name.as_str())
    }

    #[test]
    fn a_change_copies_no_entry_however_many_there_are() {
        assert_eq!((copied(10), copied(10_000)), (0, 0));
    }

    #[test]
    fn committed_memory_follows_each_change() {
        let (one, two) = (key("default", "one"), key("default", "two"));
        let mut map: FunctionMap = [entry_of(&one, Some(300)), entry_of(&two, None)].into_iter().collect();
        assert_eq!(map.committed_mb(), 300);
        map.insert(two.clone(), entry_of(&two, Some(u64::MAX)).1);
        assert_eq!(map.committed_mb(), u64::MAX, "more than fits is the most there is");
        map.insert(two.clone(), entry_of(&two, Some(50)).1);
        map.remove(&one);
        map.remove(&one);
        assert_eq!(map.committed_mb(), 50);
    }
}
