//! The aliases of one function, sorted by case-folded name: an exact name, and all names that
//! differ only in case, are found by binary search.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::alias::Route;

/// Routes by alias name; immutable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AliasMap(Box<[(Arc<str>, Route)]>);

impl AliasMap {
    /// The route of an alias.
    pub fn get(&self, name: &str) -> Option<&Route> {
        self.get_key_value(name).map(|(_, route)| route)
    }

    /// The route of an alias, with the key stored in the map.
    pub fn get_key_value(&self, name: &str) -> Option<(&Arc<str>, &Route)> {
        let at = self.0.binary_search_by(|(other, _)| compare(other, name)).ok()?;
        let (name, route) = &self.0[at];
        Some((name, route))
    }

    /// Whether the alias exists.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The aliases whose names equal `name` except for case.
    pub fn similar(&self, name: &str) -> &[(Arc<str>, Route)] {
        let from = self.0.partition_point(|(other, _)| compare_folded(other, name).is_lt());
        let len = self.0[from..].partition_point(|(other, _)| compare_folded(other, name).is_eq());
        &self.0[from..from + len]
    }

    /// All aliases, sorted by case-folded name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Route)> {
        self.0.iter().map(|(name, route)| (name, route))
    }
}

fn compare_folded(one: &str, other: &str) -> Ordering {
    let folded = |byte: u8| byte.to_ascii_lowercase();
    one.bytes().map(folded).cmp(other.bytes().map(folded))
}

fn compare(one: &str, other: &str) -> Ordering {
    compare_folded(one, other).then_with(|| one.cmp(other))
}

/// For equal names the last route wins.
impl FromIterator<(Arc<str>, Route)> for AliasMap {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Route)>>(aliases: I) -> Self {
        let mut sorted: Vec<_> = aliases.into_iter().collect();
        sorted.sort_by(|(one, _), (other, _)| compare(one, other));
        sorted.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        Self(sorted.into())
    }
}

impl<const N: usize> From<[(Arc<str>, Route); N]> for AliasMap {
    fn from(aliases: [(Arc<str>, Route); N]) -> Self {
        aliases.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::VersionName;

    fn route(number: u32) -> Route {
        Route::to(VersionName::Number(number))
    }

    fn names(found: &[(Arc<str>, Route)]) -> Vec<&str> {
        found.iter().map(|(name, _)| &**name).collect()
    }

    #[test]
    fn aliases_are_found_by_name_and_without_letter_case() {
        let aliases: AliasMap =
            ["prod", "Prod", "$DEFAULT", "a", "production", "PROD_2"].map(|name| (name.into(), route(1))).into();
        assert_eq!(names(aliases.similar("pROD")), ["Prod", "prod"]);
        assert_eq!(names(aliases.similar("Production")), ["production"]);
        assert!(aliases.similar("pro").is_empty() && aliases.similar("").is_empty() && aliases.similar("z").is_empty());
        assert_eq!(aliases.get_key_value("Prod").map(|(name, _)| &**name), Some("Prod"));
        assert!(aliases.contains_key("$DEFAULT") && !aliases.contains_key("PROD"));
        assert_eq!(AliasMap::default().get("prod"), None);
    }

    #[test]
    fn of_one_name_the_later_route_stays() {
        let aliases: AliasMap = [("a".into(), route(1)), ("a".into(), route(2)), ("A".into(), route(3))].into();
        assert_eq!((aliases.get("a"), aliases.get("A"), aliases.iter().count()), (Some(&route(2)), Some(&route(3)), 2));
    }

    proptest! {
        #[test]
        fn both_searches_find_what_a_look_at_every_alias_does(
            given in prop::collection::btree_set("[aAbB_]{1,3}", 0..20), text in "[aAbB_]{0,3}"
        ) {
            let aliases: AliasMap = given.iter().map(|name| (name.as_str().into(), route(1))).collect();
            prop_assert_eq!(aliases.contains_key(&text), given.contains(&text));
            let mut found = names(aliases.similar(&text));
            found.sort_unstable();
            let wanted: Vec<_> = given.iter().filter(|name| name.eq_ignore_ascii_case(&text)).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
