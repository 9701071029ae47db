//! Settings in requests that create or change a function.

use serde::Serialize;
use serde_json::Value;
use types::wire::{
    CfsConfig, CreateFunctionRequest, Environment, Extras, InstanceConcurrencyConfig, IntranetConfigIn, ProtocolParams,
    PublicNetConfigIn, UpdateFunctionConfigurationRequest,
};
use types::{ApiError, Bounds, ErrorCode, Mount};

use super::{filled, invalid, mounts, scalars};

/// Settings without effect on this platform. Accepting them would mislead their users.
const WITHOUT_EFFECT: [&str; 3] = ["VpcConfig", "ClsLogsetId", "ClsTopicId"];

/// Switches without effect, with their place in the setting and their name for users. They are
/// accepted only when off.
const SWITCHES_WITHOUT_EFFECT: [(&str, &str, &str); 5] = [
    ("IntranetConfig", "/IpFixed", "IntranetConfig.IpFixed"),
    ("PublicNetConfig", "/EipConfig/EipStatus", "PublicNetConfig.EipConfig.EipStatus"),
    ("L5Enable", "", "L5Enable"),
    ("IgnoreSysLog", "", "IgnoreSysLog"),
    ("DnsCache", "", "DnsCache"),
];

/// Refuses a setting without effect, unless it is empty or equals `stored`, which an earlier
/// release kept and tools send back.
pub(crate) fn refuse_without_effect(name: &str, value: &Value, stored: Option<&Value>) -> Result<(), ApiError> {
    if stored == Some(value) {
        return Ok(());
    }
    if WITHOUT_EFFECT.contains(&name) && !is_empty(value) {
        let problem = "it has no effect here and is refused, so that nobody relies on it; leave it out or empty";
        return Err(invalid(ErrorCode::UNSUPPORTED_OPERATION, name, problem));
    }
    match SWITCHES_WITHOUT_EFFECT.iter().find(|(setting, ..)| *setting == name) {
        Some((_, pointer, shown)) if value.pointer(pointer).is_some_and(is_on) => {
            let problem = "turning it on has no effect here and is refused, so that nobody relies on it; leave it out";
            Err(invalid(ErrorCode::UNSUPPORTED_OPERATION, shown, problem))
        }
        _ => Ok(()),
    }
}

fn is_on(value: &Value) -> bool {
    matches!(value.as_str(), Some("ENABLE" | "TRUE")) || value == &Value::Bool(true)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.iter().all(is_empty),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Settings of a version in a request; `None` for omitted ones.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub description: Option<String>,
    pub memory_size: Option<i64>,
    pub timeout: Option<i64>,
    pub init_timeout: Option<i64>,
    pub environment: Option<Environment>,
    pub concurrency: Option<InstanceConcurrencyConfig>,
    pub protocol_params: Option<ProtocolParams>,
    pub public_net: Option<PublicNetConfigIn>,
    pub intranet: Option<IntranetConfigIn>,
    pub dns_cache: Option<String>,
    pub extras: Option<Extras>,
    /// Volumes, in the contract's form.
    pub cfs: Option<CfsConfig>,
    /// Values that are stored unchanged, by API name.
    pub kept: Vec<(&'static str, Option<Value>)>,
}

impl Given {
    /// The requested volumes.
    pub(crate) fn mounts(&self, bounds: &Bounds) -> Result<Vec<Mount>, ApiError> {
        let own = self.extras.as_ref().and_then(|extras| extras.mounts.as_deref());
        let own = mounts::listed(own, Vec::new(), bounds)?;
        let mut all = self.cfs.as_ref().map_or(Ok(Vec::new()), |cfs| mounts::of_cfs(cfs, &own, bounds))?;
        all.extend(own);
        all.dedup();
        Ok(all)
    }

    /// Values that are stored unchanged.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.kept.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)))
    }

    /// Validates the API objects that are stored without effect, and lists them by API name.
    pub(crate) fn carried(&self) -> Result<Vec<(&'static str, Value)>, ApiError> {
        const SWITCH: [&str; 2] = ["ENABLE", "DISABLE"];
        let mut carried: Vec<_> = self.kept.iter().filter_map(|(name, value)| Some((*name, value.clone()?))).collect();
        if let Some(net) = &self.public_net {
            let code = ErrorCode::INVALID_VALUE_PUBLIC_NET_CONFIG;
            let eip = net.eip_config.as_ref().and_then(|eip| eip.eip_status.as_deref());
            for (field, given) in [
                ("PublicNetConfig.PublicNetStatus", net.public_net_status.as_deref()),
                ("PublicNetConfig.EipConfig.EipStatus", eip),
            ] {
                filled(given).map_or(Ok(()), |given| scalars::one_of(field, given, &SWITCH, code))?;
            }
            carried.push(("PublicNetConfig", to_value(net)));
        }
        if let Some(intranet) = &self.intranet {
            let (field, code) = ("IntranetConfig.IpFixed", ErrorCode::INVALID_VALUE);
            filled(intranet.ip_fixed.as_deref())
                .map_or(Ok(()), |given| scalars::one_of(field, given, &SWITCH, code))?;
            carried.push(("IntranetConfig", to_value(intranet)));
        }
        if let Some(given) = &self.dns_cache {
            let on = scalars::switch("DnsCache", Some(given), ErrorCode::INVALID_VALUE)?;
            carried.push(("DnsCache", types::wire::switch(on).into()));
        }
        if let Some(params) = &self.protocol_params {
            carried.push(("ProtocolParams", to_value(params)));
        }
        Ok(carried)
    }
}

fn to_value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("texts, numbers and lists always serialize")
}

fn object<T: Serialize>(object: Option<T>) -> Option<Value> {
    object.as_ref().map(to_value)
}

impl From<CreateFunctionRequest> for Given {
    fn from(request: CreateFunctionRequest) -> Self {
        Self {
            description: request.description,
            memory_size: request.memory_size,
            timeout: request.timeout,
            init_timeout: request.init_timeout,
            environment: request.environment,
            concurrency: request.instance_concurrency_config,
            protocol_params: request.protocol_params,
            public_net: request.public_net_config,
            intranet: request.intranet_config,
            dns_cache: request.dns_cache,
            extras: request.sampan,
            cfs: request.cfs_config,
            kept: vec![
                ("Handler", object(request.handler)),
                ("Role", object(request.role)),
                ("ClsLogsetId", object(request.cls_logset_id)),
                ("ClsTopicId", object(request.cls_topic_id)),
                ("VpcConfig", object(request.vpc_config)),
                ("DeadLetterConfig", object(request.dead_letter_config)),
                ("OnSuccess", object(request.on_success)),
                ("OnFailure", object(request.on_failure)),
            ],
        }
    }
}

impl From<UpdateFunctionConfigurationRequest> for Given {
    fn from(request: UpdateFunctionConfigurationRequest) -> Self {
        Self {
            description: request.description,
            memory_size: request.memory_size,
            timeout: request.timeout,
            init_timeout: request.init_timeout,
            environment: request.environment,
            concurrency: request.instance_concurrency_config,
            protocol_params: request.protocol_params,
            public_net: request.public_net_config,
            intranet: request.intranet_config,
            dns_cache: request.dns_cache,
            extras: request.sampan,
            cfs: request.cfs_config,
            kept: vec![
                ("Role", object(request.role)),
                ("ClsLogsetId", object(request.cls_logset_id)),
                ("ClsTopicId", object(request.cls_topic_id)),
                ("VpcConfig", object(request.vpc_config)),
                ("DeadLetterConfig", object(request.dead_letter_config)),
                ("OnSuccess", object(request.on_success)),
                ("OnFailure", object(request.on_failure)),
                ("L5Enable", object(request.l5_enable)),
                ("IgnoreSysLog", object(request.ignore_sys_log)),
            ],
        }
    }
}
