//! Cache of a connection's last route: a client that keeps its connection mostly calls one
//! function. Pure.

use http::header::HOST;
use http::request::Parts;
use types::Catalog;

use crate::lookup::Found;

/// An address, by a host that is not a custom domain, and its target in one snapshot of the
/// catalog.
#[derive(Debug)]
pub struct LastRoute {
    /// The snapshot's number.
    revision: u64,
    /// The host, as it was sent.
    host: Box<str>,
    /// The part of the path that is the address.
    prefix: Box<str>,
    found: Found,
}

impl LastRoute {
    /// `prefix_len` bytes of `target` are the address; 0 where the host is.
    pub fn new(catalog: &Catalog, host: &str, target: &str, (found, prefix_len): &(Found, usize)) -> Self {
        let (host, prefix) = (host.into(), target[..*prefix_len].into());
        Self { revision: catalog.revision, host, prefix, found: found.clone() }
    }

    /// The cached target, when address and snapshot are unchanged.
    pub fn find(&self, catalog: &Catalog, parts: &Parts) -> Option<(Found, usize)> {
        let mut hosts = parts.headers.get_all(HOST).iter();
        let host = hosts.next()?;
        let target = parts.uri.path_and_query()?.as_str();
        let same = self.revision == catalog.revision
            && *host == *self.host
            && hosts.next().is_none()
            && parts.uri.authority().is_none()
            && matches!(target.strip_prefix(&*self.prefix)?.as_bytes(), [] | [b'/' | b'?', ..]);
        same.then(|| (self.found.clone(), self.prefix.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use http::Request;
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
            event_invoke: Default::default(),
            triggers: Vec::new(),
        };
        Found { function: Arc::new(function), qualifier: Qualifier::LATEST }
    }

    fn request(target: &str, hosts: &[&str]) -> Parts {
        let mut parts = Request::get(target).body(()).expect("valid").into_parts().0;
        for host in hosts {
            parts.headers.append(HOST, host.parse().expect("valid"));
        }
        parts
    }

    #[test]
    fn only_the_same_address_of_the_same_snapshot_is_remembered() {
        let catalog = Catalog { revision: 7, ..Catalog::default() };
        let next = Catalog { revision: 8, ..Catalog::default() };
        let by_path = LastRoute::new(&catalog, "h", "/fn/default/web/a?b", &(found(), 15));
        for (target, is_same) in [
            ("/fn/default/web", true),
            ("/fn/default/web/", true),
            ("/fn/default/web?x", true),
            ("/fn/default/web2", false),
            ("/fn/default/web:1/", false),
            ("/fn/default/web%3A1/", false),
            ("/fn/default/we", false),
            ("/", false),
            ("http://h/fn/default/web/", false),
        ] {
            assert_eq!(by_path.find(&catalog, &request(target, &["h"])).is_some(), is_same, "{target}");
        }
        assert!(by_path.find(&next, &request("/fn/default/web/", &["h"])).is_none());
        for hosts in [&[][..], &["i"], &["h", "h"], &["h:80"]] {
            assert!(by_path.find(&catalog, &request("/fn/default/web/", hosts)).is_none(), "{hosts:?}");
        }

        let by_host = LastRoute::new(&catalog, "web.default.fn.localhost", "/a", &(found(), 0));
        for target in ["/", "/b", "/fn/default/other/"] {
            let same = by_host.find(&catalog, &request(target, &["web.default.fn.localhost"]));
            assert_eq!(same.expect("the same").1, 0);
        }
        assert!(by_host.find(&catalog, &request("/", &["web2.default.fn.localhost"])).is_none());
    }
}
