//! From an address to a function of the catalog and what to call of it. Pure: reads one snapshot.
//!
//! Hosts carry no letter case while names do: the exact name wins, else the only one that differs in case alone. Only a
//! miss looks at all functions.

use std::sync::{Arc, LazyLock};

use invoke::Target;
use types::{Catalog, CatalogFunction, FunctionKey, FunctionKind, Qualifier, VersionName};

use crate::route::Address;

/// Between the qualifier and the function in a host.
const QUALIFIER_SEPARATOR: &str = "--";

/// What is called when the address names no qualifier; made once, for every request takes a copy.
static DEFAULT: LazyLock<Qualifier> = LazyLock::new(|| Qualifier::Alias(Qualifier::DEFAULT_ALIAS.into()));

/// What to call, and how.
#[derive(Debug)]
pub struct Found {
    /// Function and qualifier.
    pub target: Target,
    /// Event or web.
    pub kind: FunctionKind,
}

/// Why an address finds no function.
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
    /// The host fits several names that differ in case alone.
    #[error("several functions are named {namespace}/{function} but for upper and lower case")]
    Ambiguous {
        /// The namespace as given.
        namespace: String,
        /// The name as given.
        function: String,
    },
    /// The text can be no version and no alias.
    #[error("function {function} has no version or alias {qualifier:?}")]
    Qualifier {
        /// The function.
        function: FunctionKey,
        /// The qualifier as given.
        qualifier: String,
    },
}

/// Finds what `address` names. A qualifier that merely does not exist is found too: calling it says so.
pub fn find(catalog: &Catalog, address: &Address<'_>) -> Result<Found, NotFound> {
    match address {
        Address::Path { namespace, function, qualifier, .. } => {
            let (key, entry) = exact(catalog, namespace, function).ok_or_else(|| NotFound::Function {
                namespace: namespace.to_string(),
                function: function.to_string(),
            })?;
            found(key, entry, qualifier.as_deref())
        }
        Address::Host { label, namespace } => by_host(catalog, label, namespace),
    }
}

fn by_host(catalog: &Catalog, label: &str, namespace: &str) -> Result<Found, NotFound> {
    for (qualifier, function) in readings(label) {
        if let Some((key, entry)) = exact(catalog, namespace, function) {
            return found(key, entry, qualifier);
        }
    }
    for (qualifier, function) in readings(label) {
        let mut similar = catalog.functions.iter().filter(|(key, _)| {
            key.namespace.as_str().eq_ignore_ascii_case(namespace) && key.name.as_str().eq_ignore_ascii_case(function)
        });
        match (similar.next(), similar.next()) {
            (None, _) => {}
            (Some((key, entry)), None) => return found(key, entry, qualifier),
            (Some(_), Some(_)) => {
                return Err(NotFound::Ambiguous { namespace: namespace.to_owned(), function: function.to_owned() });
            }
        }
    }
    Err(NotFound::Function { namespace: namespace.to_owned(), function: label.to_owned() })
}

/// Every way to read a label: as a function's whole name first, then split at each separator.
fn readings(label: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let splits = label
        .match_indices(QUALIFIER_SEPARATOR)
        .map(|(at, separator)| (Some(&label[..at]), &label[at + separator.len()..]));
    std::iter::once((None, label)).chain(splits)
}

fn exact<'a>(
    catalog: &'a Catalog,
    namespace: &str,
    function: &str,
) -> Option<(&'a FunctionKey, &'a Arc<CatalogFunction>)> {
    let key = FunctionKey { namespace: namespace.parse().ok()?, name: function.parse().ok()? };
    catalog.functions.get_key_value(&key)
}

fn found(key: &FunctionKey, entry: &CatalogFunction, qualifier: Option<&str>) -> Result<Found, NotFound> {
    let qualifier = match qualifier {
        None => DEFAULT.clone(),
        Some(text) => qualifier_of(entry, text)
            .ok_or_else(|| NotFound::Qualifier { function: key.clone(), qualifier: text.to_owned() })?,
    };
    Ok(Found { target: Target { function: key.clone(), qualifier }, kind: entry.record.kind })
}

/// Reads a qualifier: an alias of that name, else what the API calls it, else `latest` and `default` for those who cannot
/// write a dollar sign, else the only alias that differs in case alone.
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
    let mut similar = entry.aliases.keys().filter(|name| name.eq_ignore_ascii_case(text));
    match (similar.next(), similar.next()) {
        (Some(name), None) => Some(Qualifier::Alias(name.clone())),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use types::{FunctionId, FunctionRecord, Route, Status};

    use super::*;

    fn catalog(functions: &[(&str, &str, &[&str])]) -> Catalog {
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
            };
            (key, Arc::new(function))
        };
        let functions: HashMap<_, _> = functions.iter().map(entry).collect();
        Catalog { revision: 1, functions, ..Catalog::default() }
    }

    fn sample() -> Catalog {
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
            Ok(found) => format!("{}:{}", found.target.function.name, found.target.qualifier),
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
