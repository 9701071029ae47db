//! Maps an address to a function of the catalog, and to the qualifier to call. Pure: reads one
//! snapshot.
//!
//! Hosts are case-insensitive while names are not: the exact name wins, else the only one that
//! differs in case alone. A host's label can be read in at most [`READINGS_MAX`] ways, each of
//! which costs one look-up of a hash table: a miss costs the same however many functions there are.

use std::sync::{Arc, LazyLock};

use types::limits::HOST_LABEL_LEN_MAX;
use types::{CatalogFunction, FunctionKey, FunctionMap, Qualifier, VersionName};

use crate::route::Address;

/// Between the qualifier and the function in a host.
const QUALIFIER_SEPARATOR: &str = "--";
/// Maximum number of readings of a label: without a qualifier, and split at each separator that
/// fits into it.
const READINGS_MAX: usize = 1 + HOST_LABEL_LEN_MAX / QUALIFIER_SEPARATOR.len();

/// The qualifier of an address without one; created once, because every request copies it.
static DEFAULT: LazyLock<Qualifier> = LazyLock::new(|| Qualifier::Alias(Qualifier::DEFAULT_ALIAS.into()));

/// The target of a call.
#[derive(Debug, Clone)]
pub struct Found {
    /// The function.
    pub function: Arc<CatalogFunction>,
    /// Its version or alias.
    pub qualifier: Qualifier,
}

/// Why an address has no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No such function.
    #[error("function {namespace}/{function} does not exist")]
    Function {
        /// The namespace as given.
        namespace: String,
        /// The name as given.
        function: String,
    },
    /// The host matches several names that differ only in case.
    #[error("several functions are named {namespace}/{function} but for upper and lower case")]
    Ambiguous {
        /// The namespace as given.
        namespace: String,
        /// The name as given.
        function: String,
    },
    /// The text is neither a version nor an alias name.
    #[error("function {function} has no version or alias {qualifier:?}")]
    Qualifier {
        /// The function.
        function: FunctionKey,
        /// The qualifier as given.
        qualifier: String,
    },
}

/// Finds the function that `address` names. A well-formed qualifier that does not exist is returned
/// too: the call then fails.
pub fn find(functions: &FunctionMap, address: &Address<'_>) -> Result<Found, NotFound> {
    match address {
        Address::Path { namespace, function, qualifier, .. } => {
            let (key, entry) = exact(functions, namespace, function).ok_or_else(|| NotFound::Function {
                namespace: namespace.to_string(),
                function: function.to_string(),
            })?;
            found(key, entry, qualifier.as_deref())
        }
        Address::Host { label, namespace } => by_host(functions, label, namespace),
    }
}

fn by_host(functions: &FunctionMap, label: &str, namespace: &str) -> Result<Found, NotFound> {
    let mut folded = format!("{namespace}/").to_ascii_lowercase();
    let prefix_len = folded.len();
    // The first reading that matches case-insensitively; an exact match of any reading takes
    // precedence.
    let mut similar = None;
    for (qualifier, function) in readings(label) {
        folded.truncate(prefix_len);
        folded.extend(function.chars().map(|c| c.to_ascii_lowercase()));
        let keys = functions.similar(&folded);
        let exact = |key: &&FunctionKey| key.name.as_str() == function && key.namespace.as_str() == namespace;
        if let Some(key) = keys.iter().find(exact) {
            return found(key, &functions[key], qualifier);
        }
        if !keys.is_empty() && similar.is_none() {
            similar = Some((qualifier, function, keys));
        }
    }
    let (namespace, name) = (namespace.to_owned(), |text: &str| text.to_owned());
    match similar {
        None => Err(NotFound::Function { namespace, function: name(label) }),
        Some((qualifier, _, [key])) => found(key, &functions[key], qualifier),
        Some((_, function, _)) => Err(NotFound::Ambiguous { namespace, function: name(function) }),
    }
}

/// All readings of a label: as a function's whole name first, then split at each separator.
fn readings(label: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let splits = label
        .match_indices(QUALIFIER_SEPARATOR)
        .map(|(at, separator)| (Some(&label[..at]), &label[at + separator.len()..]));
    std::iter::once((None, label)).chain(splits).take(READINGS_MAX)
}

fn exact<'a>(
    functions: &'a FunctionMap,
    namespace: &str,
    function: &str,
) -> Option<(&'a FunctionKey, &'a Arc<CatalogFunction>)> {
    let key = FunctionKey { namespace: namespace.parse().ok()?, name: function.parse().ok()? };
    functions.get_key_value(&key)
}

fn found(key: &FunctionKey, entry: &Arc<CatalogFunction>, qualifier: Option<&str>) -> Result<Found, NotFound> {
    let qualifier = match qualifier {
        None => DEFAULT.clone(),
        Some(text) => qualifier_of(entry, text)
            .ok_or_else(|| NotFound::Qualifier { function: key.clone(), qualifier: text.to_owned() })?,
    };
    Ok(Found { function: Arc::clone(entry), qualifier })
}

/// Parses a qualifier: an alias of that name, else the API's name, else `latest` and `default` for
/// clients that cannot write a dollar sign, else the only alias that differs only in case.
fn qualifier_of(entry: &CatalogFunction, text: &str) -> Option<Qualifier> {
    if let Some((name, _)) = entry.aliases.get_key_value(text) {
        return Some(Qualifier::Alias(name.clone()));
    }
    if let Ok(version) = text.parse::<VersionName>() {
        return Some(Qualifier::Version(version));
    }
    if text.eq_ignore_ascii_case("latest") {
        return Some(Qualifier::LATEST);
    }
    if text.eq_ignore_ascii_case("default") {
        return Some(DEFAULT.clone());
    }
    match entry.aliases.similar(text) {
        [(name, _)] => Some(Qualifier::Alias(name.clone())),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use types::{FunctionId, FunctionKind, FunctionRecord, Route, Status};

    use super::*;

    fn catalog(functions: &[(&str, &str, &[&str])]) -> FunctionMap {
        let entry = |(namespace, name, aliases): &(&str, &str, &[&str])| {
            let key =
                FunctionKey { namespace: namespace.parse().expect("a namespace"), name: name.parse().expect("a name") };
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
            let aliases = aliases.iter().map(|a| (Arc::from(*a), Route::to(VersionName::Latest))).collect();
            let function = CatalogFunction {
                record: Arc::new(record),
                status: Status::Active,
                versions: BTreeMap::new(),
                aliases,
                reserved_mb: None,
                provisioned: BTreeMap::new(),
                event_invoke: Default::default(),
                triggers: Vec::new(),
            };
            (key, Arc::new(function))
        };
        functions.iter().map(entry).collect()
    }

    fn sample() -> FunctionMap {
        catalog(&[
            ("default", "hello", &["$DEFAULT", "Blue"]),
            ("default", "Camel", &["$DEFAULT", "latest"]),
            ("default", "twin", &["$DEFAULT"]),
            ("default", "Twin", &["$DEFAULT"]),
            ("default", "a--b", &["$DEFAULT"]),
            ("default", "bb", &["$DEFAULT"]),
        ])
    }

    fn called(address: &Address<'_>) -> String {
        match find(&sample(), address) {
            Ok(found) => format!("{}:{}", found.function.record.key.name, found.qualifier),
            Err(error) => format!("! {error}"),
        }
    }

    #[test]
    fn hosts_find_functions_whatever_the_letter_case() {
        for (label, expected) in [
            ("hello", "hello:$DEFAULT"),
            ("HELLO", "hello:$DEFAULT"),
            ("camel", "Camel:$DEFAULT"),
            ("twin", "twin:$DEFAULT"),
            ("Twin", "Twin:$DEFAULT"),
            ("TWIN", "! several functions are named default/TWIN but for upper and lower case"),
            ("a--b", "a--b:$DEFAULT"),
            ("A--B", "a--b:$DEFAULT"),
            ("x--bb", "bb:x"),
            ("x--a--b", "a--b:x"),
            ("3--hello", "hello:3"),
            ("latest--hello", "hello:$LATEST"),
            ("Default--hello", "hello:$DEFAULT"),
            ("blue--hello", "hello:Blue"),
            ("latest--camel", "Camel:latest"),
            ("none", "! function default/none does not exist"),
        ] {
            assert_eq!(called(&Address::Host { label, namespace: "default" }), expected, "{label}");
        }
    }

    #[test]
    fn a_label_of_the_longest_has_few_readings_and_of_those_all_that_name_something_count() {
        for label in ["-".repeat(HOST_LABEL_LEN_MAX), "a".repeat(HOST_LABEL_LEN_MAX), "a--".repeat(42)] {
            assert!(readings(&label).count() <= READINGS_MAX, "{label}");
        }
        let (alias, name) = ("v".repeat(64), "F".repeat(60));
        let label = format!("{alias}--{name}");
        assert_eq!(label.len(), HOST_LABEL_LEN_MAX);
        let functions = catalog(&[("default", &name, &["$DEFAULT"])]);
        let address = Address::Host { label: &label.to_ascii_lowercase(), namespace: "DEFAULT" };
        let found = find(&functions, &address).expect("the function is there");
        assert_eq!((found.function.record.key.name.as_str(), found.qualifier.to_string()), (name.as_str(), alias));
    }

    #[test]
    fn paths_find_functions_by_their_exact_name() {
        for (function, qualifier, expected) in [
            ("hello", None, "hello:$DEFAULT"),
            ("Hello", None, "! function default/Hello does not exist"),
            ("hello", Some("$LATEST"), "hello:$LATEST"),
            ("hello", Some("latest"), "hello:$LATEST"),
            ("hello", Some("7"), "hello:7"),
            ("hello", Some("nobody"), "hello:nobody"),
            ("hello", Some("no body"), "! function default/hello has no version or alias \"no body\""),
            ("hello", Some(""), "! function default/hello has no version or alias \"\""),
        ] {
            let address = Address::Path {
                namespace: "default".into(),
                function: function.into(),
                qualifier: qualifier.map(Into::into),
                prefix_len: 0,
            };
            assert_eq!(called(&address), expected, "{function} {qualifier:?}");
        }
    }
}
