//! Access to a version or alias of a function over HTTP, as its http triggers (its URLs) define it.
//! Pure.
//!
//! One URL with `AuthType` CAM closes the function on every route and for every version and alias,
//! except those that have a URL with `AuthType` NONE of their own.

use std::net::IpAddr;
use std::sync::Arc;

use formats::function_url::{Auth, Cors, FunctionUrl};
use http::header::ORIGIN;
use http::{HeaderMap, Method, Response, StatusCode};
use serde::Deserialize;
use types::{CatalogFunction, Qualifier, Trigger, VersionName};

/// `Type` of the triggers that are URLs.
const KIND: &str = "http";

/// Access to a version or alias.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Access {
    /// Whether only signed calls are allowed.
    pub signed: bool,
    /// Its URL, where it has one.
    pub url: Option<FunctionUrl>,
    /// The URLs that restrict networks: its own, or without one all of the function's.
    networks: Vec<FunctionUrl>,
}

/// Why access is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The URL is disabled.
    #[error("the URL of the function is closed; `sampan trigger resume` opens it")]
    Closed,
    /// The client is outside of the allowed networks.
    #[error("the URL of the function can be called from private networks alone (NetConfig of its http trigger)")]
    Extranet,
    /// The stored URL cannot be parsed; access is refused.
    #[error("the http trigger of the function cannot be read; update it")]
    Unreadable,
}

/// Access to a version or alias, by the http triggers of its function.
pub fn of(function: &CatalogFunction, qualifier: &Qualifier) -> Result<Access, Forbidden> {
    // Most functions have none; they skip the work.
    if function.triggers.is_empty() {
        return Ok(Access::default());
    }
    let urls = || function.triggers.iter().filter(|trigger| trigger.kind == KIND);
    let own = urls().find(|trigger| trigger.qualifier == *qualifier);
    let deciding = |trigger: &&Arc<Trigger>| own.is_none() || trigger.qualifier == *qualifier;
    let (mut signed, mut networks) = (false, Vec::new());
    for url in urls().filter(deciding) {
        let url = read(url)?;
        signed |= url.auth_type == Auth::Cam;
        networks.push(url);
    }
    // An address without a qualifier means the alias $DEFAULT, a trigger without one $LATEST.
    let is_default = matches!(qualifier, Qualifier::Alias(name) if **name == *Qualifier::DEFAULT_ALIAS);
    let latest = Qualifier::Version(VersionName::Latest);
    let url = own.or_else(|| urls().find(|trigger| is_default && trigger.qualifier == latest));
    match url {
        Some(url) if !url.enabled => Err(Forbidden::Closed),
        Some(url) => Ok(Access { signed, url: Some(read(url)?), networks }),
        None => Ok(Access { signed, url: None, networks }),
    }
}

fn read(trigger: &Trigger) -> Result<FunctionUrl, Forbidden> {
    FunctionUrl::deserialize(&trigger.desc).map_err(|_| Forbidden::Unreadable)
}

impl Access {
    /// Whether a URL allows everyone to call; false without a URL.
    pub fn is_open(&self) -> bool {
        !self.signed && self.url.is_some()
    }

    /// Refuses clients outside of the networks that the URL allows.
    pub fn check_network(&self, client: IpAddr) -> Result<(), Forbidden> {
        match self.networks.iter().all(|url| url.admits(client)) {
            true => Ok(()),
            false => Err(Forbidden::Extranet),
        }
    }

    /// The web page that calls, where the URL has CORS settings.
    pub fn page(&self, request: &HeaderMap) -> Option<Page> {
        let cors = self.url.as_ref()?.cors()?.clone();
        let origin = request.get(ORIGIN).map(|origin| (ORIGIN, origin.clone()));
        Some(Page { cors, request: origin.into_iter().collect() })
    }
}

/// A web page that calls (CORS).
pub struct Page {
    cors: Cors,
    request: HeaderMap,
}

impl Page {
    /// The response to a preflight; `None` when the request is not one.
    pub fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<Response<invoke::Body>> {
        let headers = self.cors.preflight(method, request)?;
        let mut answer = Response::new(invoke::Body::default());
        (*answer.status_mut(), *answer.headers_mut()) = (StatusCode::NO_CONTENT, headers);
        Some(answer)
    }

    /// Adds the CORS headers to a response.
    pub fn decorate(&self, answer: &mut HeaderMap) {
        self.cors.decorate(&self.request, answer);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use types::{AliasMap, FunctionId, FunctionKind, FunctionRecord, Status, TriggerId, TriggerOptions};

    use super::*;

    fn trigger(kind: &str, qualifier: &str, enabled: bool, desc: Value) -> Arc<Trigger> {
        let Value::Object(desc) = desc else { panic!("an object") };
        Arc::new(Trigger {
            id: TriggerId::random(),
            kind: kind.to_owned(),
            name: "url".to_owned(),
            qualifier: qualifier.parse().expect("a qualifier"),
            desc,
            options: TriggerOptions::default(),
            enabled,
            custom_argument: String::new(),
            description: String::new(),
            since_ms: 0,
            added_ms: 0,
            modified_ms: 0,
        })
    }

    fn url(qualifier: &str, auth: &str) -> Arc<Trigger> {
        trigger(KIND, qualifier, true, json!({"AuthType": auth}))
    }

    /// The access of a qualifier of a function with these triggers: `open`, `signed`, or the error.
    fn function(triggers: &[Arc<Trigger>]) -> CatalogFunction {
        let record = FunctionRecord {
            id: FunctionId::random(),
            key: types::FunctionKey {
                namespace: "default".parse().expect("valid"),
                name: "f1".parse().expect("valid"),
            },
            kind: FunctionKind::Http,
            protocol: None,
            async_run: false,
            trace: false,
            tags: Vec::new(),
            added_ms: 0,
            modified_ms: 0,
        };
        CatalogFunction {
            record: Arc::new(record),
            status: Status::Active,
            versions: BTreeMap::new(),
            aliases: AliasMap::default(),
            reserved_mb: None,
            provisioned: BTreeMap::new(),
            event_invoke: Default::default(),
            triggers: triggers.to_vec(),
        }
    }

    fn access(triggers: &[Arc<Trigger>], qualifier: &str) -> String {
        match of(&function(triggers), &qualifier.parse().expect("a qualifier")) {
            Ok(access) => format!(
                "{}{}",
                if access.signed { "signed" } else { "open" },
                if access.url.is_some() { " url" } else { "" }
            ),
            Err(forbidden) => format!("{forbidden:?}"),
        }
    }

    #[test]
    fn a_function_with_a_cam_url_is_anonymous_nowhere_but_at_urls_that_say_so() {
        let timer = trigger("timer", "$LATEST", true, json!({"cron": "* * * * *"}));
        for (triggers, qualifier, expected) in [
            (vec![], "$DEFAULT", "open"),
            (vec![timer.clone()], "$DEFAULT", "open"),
            (vec![url("$LATEST", "NONE")], "$LATEST", "open url"),
            (vec![url("$LATEST", "NONE")], "$DEFAULT", "open url"),
            (vec![url("$LATEST", "NONE")], "3", "open"),
            (vec![url("$LATEST", "CAM")], "$LATEST", "signed url"),
            (vec![url("$LATEST", "CAM")], "$DEFAULT", "signed url"),
            (vec![url("$LATEST", "CAM"), timer], "3", "signed"),
            (vec![url("prod", "CAM")], "$LATEST", "signed"),
            (vec![url("prod", "CAM"), url("demo", "NONE")], "demo", "open url"),
            (vec![url("demo", "NONE"), url("demo", "CAM")], "demo", "signed url"),
            (vec![url("prod", "CAM"), url("demo", "NONE")], "$DEFAULT", "signed"),
            // The version behind an open URL is not open because of it.
            (vec![url("prod", "CAM"), url("$LATEST", "NONE")], "$DEFAULT", "signed url"),
        ] {
            assert_eq!(access(&triggers, qualifier), expected, "{qualifier}: {triggers:?}");
        }
    }

    #[test]
    fn a_url_for_private_networks_closes_versions_without_a_url_of_their_own() {
        let inside = json!({"AuthType": "NONE", "NetConfig": {"EnableIntranet": true, "EnableExtranet": false}});
        let triggers = [trigger(KIND, "$LATEST", true, inside), url("demo", "NONE")];
        for (qualifier, is_open) in [("$LATEST", false), ("$DEFAULT", false), ("3", false), ("demo", true)] {
            let function = function(&triggers);
            let access = of(&function, &qualifier.parse().expect("a qualifier")).expect("open");
            let outside = access.check_network("192.0.2.2".parse().expect("an address"));
            assert_eq!(outside.is_ok(), is_open, "{qualifier}");
            assert_eq!(access.check_network("10.0.0.1".parse().expect("an address")), Ok(()));
        }
    }

    #[test]
    fn a_closed_url_stays_closed_and_what_cannot_be_read_opens_nothing() {
        let closed = trigger(KIND, "$LATEST", false, json!({"AuthType": "CAM"}));
        assert_eq!(access(std::slice::from_ref(&closed), "$LATEST"), "Closed");
        assert_eq!(access(&[closed], "3"), "signed", "closing a URL does not open the others");
        let strange = trigger(KIND, "$LATEST", true, json!({"AuthType": "X"}));
        assert_eq!(access(&[strange], "$LATEST"), "Unreadable");
    }
}
