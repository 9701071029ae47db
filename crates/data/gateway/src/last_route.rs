//! Where the last request of a connection went: a client that keeps its connection mostly calls one
//! function. Pure.

use types::Catalog;

use crate::lookup::Found;

/// An address without a custom domain, and what it led to in one snapshot of the catalog.
#[derive(Debug)]
pub struct LastRoute {
    /// The snapshot's number.
    revision: u64,
    /// As it was sent.
    host: Option<Box<str>>,
    /// The part of the path that is the address.
    prefix: Box<str>,
    found: Found,
}

impl LastRoute {
    /// `prefix_len` bytes of `target` are the address; 0 where the host is.
    pub fn new(catalog: &Catalog, host: Option<&str>, target: &str, (found, prefix_len): &(Found, usize)) -> Self {
        let (host, prefix) = (host.map(Box::from), target[..*prefix_len].into());
        Self { revision: catalog.revision, host, prefix, found: found.clone() }
    }

    /// What an address leads to, when it is the same one in the same snapshot.
    pub fn find(&self, catalog: &Catalog, host: Option<&str>, target: &str) -> Option<(Found, usize)> {
        let same = self.revision == catalog.revision
            && self.host.as_deref() == host
            && matches!(target.strip_prefix(&*self.prefix)?.as_bytes(), [] | [b'/' | b'?', ..]);
        same.then(|| (self.found.clone(), self.prefix.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use types::{CatalogFunction, FunctionId, FunctionKey, FunctionKind, FunctionRecord, Qualifier, Status};

    use super::*;

    fn found() -> Found {
        let key = FunctionKey { namespace: "default".parse().expect("valid"), name: "web".parse().expect("valid") };
        let record = FunctionRecord {
            id: FunctionId::random(),
            key,
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
            aliases: [].into(),
            reserved_mb: None,
            provisioned: BTreeMap::new(),
        };
        Found { function: Arc::new(function), qualifier: Qualifier::LATEST }
    }

    #[test]
    fn only_the_same_address_of_the_same_snapshot_is_remembered() {
        let catalog = Catalog { revision: 7, ..Catalog::default() };
        let next = Catalog { revision: 8, ..Catalog::default() };
        let by_path = LastRoute::new(&catalog, Some("h"), "/fn/default/web/a?b", &(found(), 15));
        for (target, is_same) in [
            ("/fn/default/web", true),
            ("/fn/default/web/", true),
            ("/fn/default/web?x", true),
            ("/fn/default/web2", false),
            ("/fn/default/web:1/", false),
            ("/fn/default/web%3A1/", false),
            ("/fn/default/we", false),
            ("/", false),
        ] {
            assert_eq!(by_path.find(&catalog, Some("h"), target).is_some(), is_same, "{target}");
        }
        assert!(by_path.find(&next, Some("h"), "/fn/default/web/").is_none());
        assert!(by_path.find(&catalog, Some("i"), "/fn/default/web/").is_none());
        assert!(by_path.find(&catalog, None, "/fn/default/web/").is_none());

        let by_host = LastRoute::new(&catalog, Some("web.default.fn.localhost"), "/a", &(found(), 0));
        for target in ["/", "/b", "/fn/default/other/"] {
            let (_, prefix_len) = by_host.find(&catalog, Some("web.default.fn.localhost"), target).expect("the same");
            assert_eq!(prefix_len, 0);
        }
        assert!(by_host.find(&catalog, Some("web2.default.fn.localhost"), "/").is_none());
    }
}
