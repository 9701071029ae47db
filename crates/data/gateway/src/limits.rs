//! Limits of routes: concurrent requests, requests per second, bytes of a body. Decides only by the
//! address of a request, independent of its sender and its response.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, de};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use types::{FunctionKey, FunctionName, Namespace};

/// A limit of some routes: an entry of `[[gateway.limits]]`. A field that is not set matches any
/// route; all matching entries apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteLimit {
    /// The function of the request: `<namespace>/<function>`, or `<namespace>/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Functions>,
    /// The host in the client's request, without its port, case-insensitive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Prefix of the path in the client's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Concurrent requests of all clients together; more get 429. At least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_at_once_max: Option<u32>,
    /// Requests per second of all clients together, with a burst of one second; more get 429. At
    /// least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_s_max: Option<u32>,
    /// Longest body of a request, in bytes; longer ones get 406. At least 1; the general limits
    /// apply as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u64>,
}

/// One function, or all of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Functions {
    /// All functions of this namespace.
    Of(Namespace),
    /// This one.
    One(FunctionKey),
}

/// Text that names no functions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no function; write <namespace>/<function>, or <namespace>/* for all of a namespace")]
pub struct InvalidFunctions {
    text: String,
}

impl FromStr for Functions {
    type Err = InvalidFunctions;

    fn from_str(text: &str) -> Result<Self, InvalidFunctions> {
        let invalid = || InvalidFunctions { text: text.chars().take(200).collect() };
        let (namespace, name) = text.split_once('/').ok_or_else(invalid)?;
        let namespace: Namespace = namespace.parse().map_err(|_| invalid())?;
        if name == "*" {
            return Ok(Self::Of(namespace));
        }
        let name: FunctionName = name.parse().map_err(|_| invalid())?;
        Ok(Self::One(FunctionKey { namespace, name }))
    }
}

impl fmt::Display for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(namespace) => write!(f, "{namespace}/*"),
            Self::One(function) => write!(f, "{function}"),
        }
    }
}

impl Serialize for Functions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Functions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Parses the entries; one that has no effect, or admits nothing, is an error.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RouteLimit>, D::Error> {
    let limits = Vec::<RouteLimit>::deserialize(deserializer)?;
    for (number, limit) in (1..).zip(&limits) {
        if let Some(mistake) = limit.mistake() {
            return Err(de::Error::custom(format!("entry {number} {mistake}")));
        }
    }
    Ok(limits)
}

/// The address of a request.
#[derive(Debug, Clone, Copy)]
pub struct Route<'a> {
    /// The function.
    pub function: &'a FunctionKey,
    /// The host in the client's request, without its port.
    pub host: Option<&'a str>,
    /// The path in the client's request.
    pub path: &'a str,
}

impl RouteLimit {
    fn mistake(&self) -> Option<&'static str> {
        let numbers =
            [self.requests_at_once_max.map(u64::from), self.requests_per_s_max.map(u64::from), self.body_bytes_max];
        if numbers.iter().all(Option::is_none) {
            Some("limits nothing; say requests_at_once_max, requests_per_s_max or body_bytes_max")
        } else if numbers.contains(&Some(0)) {
            Some("lets nothing through; a limit is at least 1")
        } else if self.host.as_ref().is_some_and(|host| host.is_empty() || host.contains([':', '/'])) {
            Some("names no host; write its name alone, without scheme, port or path")
        } else if self.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            Some("names no path; write how it begins, with a slash")
        } else {
            None
        }
    }

    fn fits(&self, route: &Route<'_>) -> bool {
        let function = |functions: &Functions| match functions {
            Functions::Of(namespace) => *namespace == route.function.namespace,
            Functions::One(function) => function == route.function,
        };
        self.function.as_ref().is_none_or(function)
            && self.host.as_ref().is_none_or(|host| route.host.is_some_and(|named| named.eq_ignore_ascii_case(host)))
            && self.path.as_ref().is_none_or(|path| route.path.starts_with(path.as_str()))
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// The maximum of concurrent requests is reached.
    #[error("{max} requests are answered at once already, which is the gateway's limit for this route; try again")]
    AtOnce {
        /// The limit.
        max: u32,
    },
    /// The maximum of requests per second is reached.
    #[error("the gateway lets {max} requests through in a second on this route; try again in a second")]
    PerSecond {
        /// The limit.
        max: u32,
    },
}

/// An admitted request; it counts until this is dropped.
#[derive(Debug, Default)]
pub struct Admitted {
    /// The longest body.
    pub body_bytes_max: Option<u64>,
    at_once: Vec<OwnedSemaphorePermit>,
}

/// All limits, with their usage.
#[derive(Debug)]
pub struct Limits(Vec<Limit>);

#[derive(Debug)]
struct Limit {
    of: RouteLimit,
    at_once: Option<Arc<Semaphore>>,
    bucket: Option<Mutex<Bucket>>,
}

impl Limits {
    /// Creates the limits of a configuration, unused.
    pub fn new(limits: &[RouteLimit], now: Instant) -> Self {
        let limit = |of: &RouteLimit| Limit {
            of: of.clone(),
            at_once: of.requests_at_once_max.map(|max| Arc::new(Semaphore::new(max as usize))),
            bucket: of.requests_per_s_max.map(|max| Mutex::new(Bucket::full(max, now))),
        };
        Self(limits.iter().map(limit).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Admits a request, if all matching limits do.
    pub fn admit(&self, route: &Route<'_>, now: Instant) -> Result<Admitted, Busy> {
        let mut admitted = Admitted::default();
        for limit in self.0.iter().filter(|limit| limit.of.fits(route)) {
            if let (Some(at_once), Some(max)) = (&limit.at_once, limit.of.requests_at_once_max) {
                let permit = Arc::clone(at_once).try_acquire_owned().map_err(|_| Busy::AtOnce { max })?;
                admitted.at_once.push(permit);
            }
            if let (Some(bucket), Some(max)) = (&limit.bucket, limit.of.requests_per_s_max)
                && !bucket.lock().take(now)
            {
                return Err(Busy::PerSecond { max });
            }
            let bytes = [admitted.body_bytes_max, limit.of.body_bytes_max];
            admitted.body_bytes_max = bytes.into_iter().flatten().min();
        }
        Ok(admitted)
    }
}

/// A token bucket with a burst of one second.
#[derive(Debug)]
struct Bucket {
    per_s: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn full(per_s: u32, now: Instant) -> Self {
        Self { per_s: f64::from(per_s), tokens: f64::from(per_s), filled_at: now }
    }

    /// Takes one token, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        self.tokens = (self.tokens + seconds * self.per_s).min(self.per_s);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(text: &str) -> FunctionKey {
        match text.parse().expect("a function") {
            Functions::One(key) => key,
            Functions::Of(_) => panic!("{text} names many"),
        }
    }

    fn limits(json: serde_json::Value) -> Limits {
        let limits: Vec<RouteLimit> = read(json).expect("limits");
        Limits::new(&limits, Instant::now())
    }

    #[test]
    fn a_limit_holds_for_the_routes_that_it_names() {
        for (limit, expected) in [
            (serde_json::json!({}), [true, true, true]),
            (serde_json::json!({ "function": "default/aa" }), [true, false, false]),
            (serde_json::json!({ "function": "default/*" }), [true, true, false]),
            (serde_json::json!({ "host": "shop.example.com" }), [false, true, false]),
            (serde_json::json!({ "host": "shop.example.com", "path": "/api/" }), [false, true, false]),
            (serde_json::json!({ "host": "shop.example.com", "path": "/other/" }), [false, false, false]),
            (serde_json::json!({ "path": "/fn/" }), [true, false, true]),
        ] {
            let limit: RouteLimit = serde_json::from_value(limit).expect("a limit");
            let routes = [
                ("default/aa", None, "/fn/default/aa"),
                ("default/bb", Some("Shop.example.com"), "/api/x"),
                ("other/aa", None, "/fn/other/aa"),
            ];
            let fits = routes.map(|(function, host, path)| limit.fits(&Route { function: &key(function), host, path }));
            assert_eq!(fits, expected, "{limit:?}");
        }
    }

    #[test]
    fn requests_count_while_they_are_answered_and_in_their_second() {
        let limits = limits(serde_json::json!([
            { "function": "default/aa", "requests_at_once_max": 2, "body_bytes_max": 100 },
            { "requests_per_s_max": 4, "body_bytes_max": 200 },
        ]));
        let (a, b, now) = (key("default/aa"), key("default/bb"), Instant::now() + Duration::from_secs(60));
        let at = |function, now| limits.admit(&Route { function, host: None, path: "/" }, now);
        let first = at(&a, now).expect("the first");
        assert_eq!(first.body_bytes_max, Some(100));
        let _second = at(&a, now).expect("the second");
        assert_eq!(at(&a, now).expect_err("two are there"), Busy::AtOnce { max: 2 });
        assert_eq!(at(&b, now).expect("another function").body_bytes_max, Some(200));
        drop(first);
        drop(at(&a, now).expect("one has gone"));
        assert_eq!(at(&b, now).expect_err("four came"), Busy::PerSecond { max: 4 });
        assert_eq!(at(&a, now).expect_err("four came"), Busy::PerSecond { max: 4 });
        let later = now + Duration::from_millis(250);
        assert!(at(&a, later).is_ok(), "a refused request does not count");
        assert!(at(&b, later).is_err());
    }

    #[test]
    fn mistakes_are_told() {
        for (limit, told) in [
            (serde_json::json!([{ "function": "default/aa" }]), "entry 1 limits nothing"),
            (
                serde_json::json!([{ "requests_per_s_max": 1 }, { "requests_at_once_max": 0 }]),
                "entry 2 lets nothing through",
            ),
            (serde_json::json!([{ "function": "a", "body_bytes_max": 1 }]), "write <namespace>/<function>"),
            (serde_json::json!([{ "function": "default/", "body_bytes_max": 1 }]), "write <namespace>/<function>"),
            (serde_json::json!([{ "requests_max": 1 }]), "unknown field"),
            (serde_json::json!([{ "host": "a.example.com:443", "body_bytes_max": 1 }]), "entry 1 names no host"),
            (serde_json::json!([{ "path": "api", "body_bytes_max": 1 }]), "entry 1 names no path"),
        ] {
            let error = read(limit).expect_err("a mistake").to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
