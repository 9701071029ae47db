//! State shared by the handlers.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

pub use types::Installation;
use types::egress::IpRange;
use types::{ApiError, Bounds, ErrorCode, EventInvokeConfig, FunctionId, FunctionKey, Mount, Namespace};

use crate::config::Config;
use crate::failure::Failure;

/// Properties of this installation that the API shows and validates against.
#[derive(Debug, Clone, Default)]
pub struct HostEnvironment {
    /// Names of the gateway's certificates for custom domains.
    pub certificates: Arc<BTreeSet<String>>,
    /// Domains below which hosts name functions (`gateway.domains`), in lower case.
    pub function_domains: Arc<[String]>,
    /// Runtime of functions without the runtime tag.
    pub runtime: String,
    /// Other runtimes that the tag may select.
    pub runtimes_allowed: Vec<String>,
    /// The tag that selects a runtime.
    pub runtime_tag: &'static str,
    /// Address of the gateway for callers.
    pub gateway: GatewayAddress,
    /// Upper limits of one function's settings.
    pub bounds: Bounds,
    /// Ranges that are denied to all functions, each with the setting that denies it.
    pub egress_denied: Arc<[(IpRange, &'static str)]>,
    /// The reason why instances have no IPv6; `None` if they have it.
    pub ipv6_off: Option<&'static str>,
    /// Longest chain of calls in which functions call each other (setting `gateway.call_depth_max`).
    pub call_depth_max: u32,
    /// Checks the volumes that a function requests; `None` without volumes.
    pub volumes: Option<Arc<dyn CheckMount>>,
}

/// Checks whether instances can mount a volume. Blocks: the file system may be remote.
pub trait CheckMount: fmt::Debug + Send + Sync {
    /// Returns an error with the reason and the remedy.
    fn check(&self, mount: &Mount) -> Result<(), String>;
}

/// Address of the gateway for callers: the base of function URLs.
#[derive(Debug, Clone, Default)]
pub struct GatewayAddress {
    /// Its listener; `None` without a gateway.
    pub listening: Option<SocketAddr>,
    /// The setting `gateway.public_url`, without a trailing slash.
    pub public_url: Option<String>,
}

impl HostEnvironment {
    /// The runtime of a function with these tags.
    pub(crate) fn runtime_of<'a>(&'a self, tags: &'a [(String, String)]) -> &'a str {
        tags.iter().find(|(key, _)| key == self.runtime_tag).map_or(&self.runtime, |(_, value)| value)
    }

    /// Refuses a tag with a runtime that is not allowed.
    pub(crate) fn check_runtime(&self, tags: &[(String, String)]) -> Result<(), ApiError> {
        let name = self.runtime_of(tags);
        let mut there = std::iter::once(&self.runtime).chain(&self.runtimes_allowed);
        if there.any(|allowed| allowed == name) {
            return Ok(());
        }
        let mut there: Vec<&str> = vec![&self.runtime];
        there.extend(self.runtimes_allowed.iter().map(String::as_str).filter(|name| *name != self.runtime));
        let (tag, there) = (self.runtime_tag, there.join(", "));
        let problem = format!(
            "the runtime {name:?} is not allowed here; use one of {there}, or add it to [launcher] runtimes_allowed"
        );
        Err(ApiError::new(ErrorCode::INVALID_VALUE, format!("Tags.{tag}: {problem}")))
    }
}

/// The components that handlers use.
pub(crate) struct Context {
    pub store: store::Store,
    pub logs: logs::Logs,
    pub invoker: invoke::Invoker,
    pub events: events::Events,
    pub sources: sources::Sources,
    pub account: Installation,
    /// Certificates and runtimes of the installation.
    pub host_environment: HostEnvironment,
    pub config: Config,
}

impl Context {
    /// Formats a Unix time in milliseconds as answers do.
    pub fn local_time(&self, unix_ms: i64) -> String {
        self.config.utc_offset.format(unix_ms)
    }

    /// Refuses a namespace that is not in the catalog: queries of runs must not wait for the
    /// database.
    pub fn require_namespace(&self, namespace: &Namespace) -> Result<(), Failure> {
        if self.store.catalog().load().namespaces.contains(namespace) {
            return Ok(());
        }
        Err(store::Error::NamespaceNotFound { namespace: namespace.clone() }.into())
    }

    /// The id of a function in the catalog.
    pub fn function_id(&self, key: &FunctionKey) -> Result<FunctionId, Failure> {
        self.require_namespace(&key.namespace)?;
        let id = self.store.catalog().load().functions.get(key).map(|function| function.record.id.clone());
        id.ok_or_else(|| store::Error::FunctionNotFound { key: key.clone() }.into())
    }

    /// Retries and maximum age of a function's events, from the catalog.
    pub fn event_invoke(&self, key: &FunctionKey) -> EventInvokeConfig {
        let catalog = self.store.catalog().load_full();
        catalog.functions.get(key).map(|function| function.event_invoke).unwrap_or_default()
    }

    /// Refuses a function that is not in the catalog.
    pub fn require_function(&self, key: &FunctionKey) -> Result<(), Failure> {
        self.function_id(key).map(drop)
    }
}

/// The server's time in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
