//! Model of triggers and custom domains.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::release::Route;

/// Default type of a trigger, and default version.
pub const TIMER: &str = "timer";
pub const LATEST: &str = "$LATEST";

/// A trigger, which creates events for the function; a trigger of type http is the function's URL
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// Type: timer, http, webhook, cloudevents or cos [default: timer]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the trigger, if several triggers with different types or versions share it [default:
    /// its key]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version or alias that receives the events [default: $LATEST]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    /// Times of a timer: seven fields from second to year, or five from minute to weekday
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Time zone of cron, such as Europe/Berlin or +01:00 [default: the platform's, +08:00]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Maximum age of an event when its run begins, in seconds
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
    /// Maximum number of events per minute
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Maximum number of its events that run at once; others wait and delay no other trigger
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Settings of the type, with the keys of the cloud API's TriggerDesc, such as AuthType
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub desc: Map<String, Value>,
    /// Text that a timer's events carry
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
    /// Free text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the trigger is paused and creates no events [default: false]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Digest of the secrets deployed last; only of triggers read from the platform.
    #[serde(skip)]
    pub digest: Option<String>,
}

/// Identity of a trigger within its function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TriggerKey {
    pub name: String,
    pub kind: String,
    pub qualifier: String,
}

impl Trigger {
    /// Makes every default explicit.
    pub fn filled(self, key: &str) -> Self {
        let text = |text: Option<String>| Some(text.unwrap_or_default());
        Self {
            kind: Some(self.kind.unwrap_or_else(|| TIMER.to_owned())),
            name: Some(self.name.unwrap_or_else(|| key.to_owned())),
            qualifier: Some(self.qualifier.unwrap_or_else(|| LATEST.to_owned())),
            argument: text(self.argument),
            description: text(self.description),
            paused: Some(self.paused.unwrap_or(false)),
            ..self
        }
    }

    /// Removes defaults; the name's default is `key`.
    pub fn trimmed(self, key: &str) -> Self {
        let unless = |text: Option<String>, default: &str| text.filter(|text| text != default);
        Self {
            kind: unless(self.kind, TIMER),
            name: unless(self.name, key),
            qualifier: unless(self.qualifier, LATEST),
            argument: unless(self.argument, ""),
            description: unless(self.description, ""),
            paused: self.paused.filter(|paused| *paused),
            ..self
        }
    }

    /// Identity of a trigger whose defaults are explicit.
    pub fn key(&self) -> TriggerKey {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        TriggerKey { name: text(&self.name), kind: text(&self.kind), qualifier: text(&self.qualifier) }
    }
}

/// A custom domain and the routes of its paths
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Protocols of the domain [default: http]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Name of a certificate in the gateway's settings, for TLS
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Paths and their functions: / or /a match that path only, /a/* all paths below it, /* all
    /// other paths
    pub routes: BTreeMap<String, Route>,
}

/// Protocols of a domain
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Plain HTTP
    #[default]
    Http,
    /// TLS
    Https,
    /// Plain HTTP and TLS
    Both,
}

impl Domain {
    /// Makes every default explicit, and targets as short as possible.
    pub fn filled(self) -> Self {
        let short = |route: Route| Route { function: short(&route.function), ..route };
        Self {
            protocol: Some(self.protocol.unwrap_or_default()),
            certificate: Some(self.certificate.unwrap_or_default()),
            routes: self.routes.into_iter().map(|(path, route)| (path, short(route))).collect(),
        }
    }

    /// Removes values that equal their default.
    pub fn trimmed(self) -> Self {
        Self {
            protocol: self.protocol.filter(|protocol| *protocol != Protocol::default()),
            certificate: self.certificate.filter(|name| !name.is_empty()),
            ..self
        }
    }
}

/// Default qualifier of a route.
pub const DEFAULT_QUALIFIER: &str = "$DEFAULT";

/// Removes the default namespace and qualifier from a target.
pub fn short(target: &str) -> String {
    let target = target.strip_prefix("default/").unwrap_or(target);
    target.strip_suffix(&format!(":{DEFAULT_QUALIFIER}")).unwrap_or(target).to_owned()
}
