//! URLs of http triggers, as `NetConfig` of their `TriggerDesc` in answers (contract 4.11). Pure.

use serde_json::{Map, Value};
use types::listening::callable_by;
use types::{CatalogFunction, Qualifier, Route, Trigger, VersionName};

use crate::context::GatewayAddress;

/// Inputs of the URLs of a function's http triggers.
#[derive(Debug, Default)]
pub(crate) struct Urls<'a> {
    function: Option<&'a CatalogFunction>,
    /// Base of intranet URLs; `None` leaves them out of answers.
    intranet: Option<String>,
    extranet: Option<String>,
}

impl<'a> Urls<'a> {
    /// The URLs of a function for a client that called the API at `host`. They have the same host
    /// if the gateway listens on all addresses.
    pub(crate) fn of(gateway: &GatewayAddress, function: &'a CatalogFunction, host: &str) -> Self {
        let intranet = gateway.listening.map(|at| format!("http://{}", callable_by(at, Some(host))));
        let extranet = gateway.public_url.clone().or_else(|| intranet.clone());
        Self { function: Some(function), intranet, extranet }
    }

    /// The function.
    pub(crate) fn function(&self) -> Option<&'a CatalogFunction> {
        self.function
    }

    /// The `TriggerDesc` of an http trigger with its URLs; that of other kinds unchanged.
    pub(crate) fn described(&self, trigger: &Trigger, desc: String) -> String {
        let (Some(function), "http") = (self.function, trigger.kind.as_str()) else { return desc };
        let Ok(Value::Object(mut object)) = serde_json::from_str(&desc) else { return desc };
        let Some(Value::Object(net)) = object.get_mut("NetConfig") else { return desc };
        let path = path(function, &trigger.qualifier);
        let is_websocket = function.record.protocol.is_some();
        for (network, base) in [("Intranet", &self.intranet), ("Extranet", &self.extranet)] {
            let enabled = net.get(&format!("Enable{network}")).and_then(Value::as_bool).unwrap_or_default();
            if let Some(base) = base.as_ref().filter(|_| enabled) {
                add(net, network, &format!("{base}{path}"), is_websocket);
            }
        }
        Value::Object(object).to_string()
    }
}

fn add(net: &mut Map<String, Value>, network: &str, url: &str, is_websocket: bool) {
    // `http` becomes `ws`, `https` becomes `wss`.
    if let Some(rest) = url.strip_prefix("http").filter(|_| is_websocket) {
        let secure = if rest.starts_with("s:") { "Wss" } else { "Ws" };
        net.insert(format!("{secure}{network}Url"), format!("ws{rest}").into());
    }
    net.insert(format!("{network}Url"), url.into());
}

/// The path of a version or alias at the gateway. A path without a qualifier means the alias
/// `$DEFAULT`, which is `$LATEST` unless it has another route or a URL of its own.
fn path(function: &CatalogFunction, qualifier: &Qualifier) -> String {
    let key = &function.record.key;
    let default = Qualifier::Alias(Qualifier::DEFAULT_ALIAS.into());
    let has_own = || function.triggers.iter().any(|other| other.kind == "http" && other.qualifier == default);
    let leads_to_latest = || {
        let latest = Route::to(VersionName::Latest);
        function.aliases.get(Qualifier::DEFAULT_ALIAS).is_none_or(|route| *route == latest)
    };
    let plain = *qualifier == default || *qualifier == Qualifier::LATEST && leads_to_latest() && !has_own();
    let suffix = if plain { String::new() } else { format!(":{qualifier}") };
    format!("/fn/{}/{}{suffix}/", key.namespace, key.name)
}
