//! Configuration of a version: defaults, and the result of an update.

use serde_json::{Map, Value};
use types::limits::{INIT_TIMEOUT_S_DEFAULT, MEMORY_MB_DEFAULT, TIMEOUT_S_DEFAULT};
use types::{ApiError, Bounds, ErrorCode, Extras, FunctionKind, FunctionRecord, ImageSpec, VersionSpec};

use super::given::{self, Given};
use super::{concurrency, destinations, environment, extras, invalid, mounts, scalars};
use crate::context::HostEnvironment;

/// The contract's object for volumes.
const CFS: &str = "CfsConfig";

/// Default configuration of an image.
pub(crate) fn default_for(image: ImageSpec) -> VersionSpec {
    VersionSpec {
        image,
        memory_mb: MEMORY_MB_DEFAULT,
        timeout_s: TIMEOUT_S_DEFAULT,
        init_timeout_s: INIT_TIMEOUT_S_DEFAULT,
        description: String::new(),
        environment: Vec::new(),
        concurrency: None,
        carried: Map::new(),
        extras: Extras::default(),
    }
}

/// Immutable properties of a function that constrain its settings.
#[derive(Clone, Copy)]
pub(crate) struct Fixed<'a> {
    pub kind: FunctionKind,
    pub protocol: Option<&'a str>,
    pub async_run: bool,
}

impl<'a> From<&'a FunctionRecord> for Fixed<'a> {
    fn from(function: &'a FunctionRecord) -> Self {
        Self { kind: function.kind, protocol: function.protocol.as_deref(), async_run: function.async_run }
    }
}

/// Applies `Sampan` and the volumes of `CfsConfig`.
fn with_cfs(
    given: &Given,
    carried: &mut Map<String, Value>,
    base: Extras,
    bounds: &Bounds,
) -> Result<Extras, ApiError> {
    let before = base.mounts.clone();
    let extras = extras::apply(given.extras.as_ref(), base, bounds)?;
    let Some(cfs) = &given.cfs else { return Ok(extras) };
    let value = serde_json::to_value(cfs).expect("texts always serialize");
    // An earlier release stored the object without effect, and tools send it back.
    if carried.get(CFS) == Some(&value) && !cfs.cfs_ins_list.is_empty() {
        return Ok(extras);
    }
    let mounts = mounts::of_cfs(cfs, &before, bounds)?;
    let listed = given.extras.as_ref().is_some_and(|extras| extras.mounts.is_some());
    if listed && mounts != extras.mounts {
        let problem = "it does not say the same as Sampan.Mounts; give one of both";
        return Err(invalid(ErrorCode::INVALID_VALUE, CFS, problem));
    }
    carried.remove(CFS);
    Ok(Extras { mounts, ..extras })
}

/// Applies the given settings to a configuration; omitted settings are unchanged.
pub(crate) fn apply(
    given: &Given,
    Fixed { kind, protocol, async_run }: Fixed<'_>,
    base: VersionSpec,
    host: &HostEnvironment,
) -> Result<VersionSpec, ApiError> {
    if let Some(params) = &given.protocol_params {
        concurrency::protocol_params(protocol, params)?;
    }
    let mut carried = base.carried;
    for (name, value) in given.carried()? {
        given::refuse_without_effect(name, &value, carried.get(name))?;
        destinations::check(name, &value)?;
        // An empty text removes a setting.
        if value == Value::String(String::new()) {
            carried.remove(name);
        } else {
            carried.insert(name.to_owned(), value);
        }
    }
    let bounds = &host.bounds;
    let memory_mb = given.memory_size.map_or(Ok(base.memory_mb), |given| scalars::memory_mb(given, bounds))?;
    let extras = with_cfs(given, &mut carried, base.extras, bounds)?;
    extras::check_together(&extras, memory_mb)?;
    extras::check_egress(&extras, &host.egress_denied, host.ipv6_off)?;
    let variables = |given| environment::variables(given, bounds.environment_bytes);
    Ok(VersionSpec {
        image: base.image,
        memory_mb,
        timeout_s: given.timeout.map_or(Ok(base.timeout_s), |given| scalars::timeout_s(given, async_run))?,
        init_timeout_s: given.init_timeout.map_or(Ok(base.init_timeout_s), scalars::init_timeout_s)?,
        description: given.description.as_deref().map_or(Ok(base.description), scalars::description)?,
        environment: given.environment.as_ref().map_or(Ok(base.environment), variables)?,
        concurrency: match &given.concurrency {
            Some(config) => concurrency::instance_concurrency(kind, config)?,
            None => base.concurrency,
        },
        carried,
        extras,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::ImageType;
    use types::wire::{CfsConfig, DeadLetterConfig, PublicNetConfigIn, UpdateFunctionConfigurationRequest, VpcConfig};

    use super::*;

    const EVENT: Fixed<'_> = Fixed { kind: FunctionKind::Event, protocol: None, async_run: false };

    fn base() -> VersionSpec {
        let image = ImageSpec {
            image_type: ImageType::Personal,
            uri: "r.io/a:v1".to_owned(),
            registry_id: None,
            command: None,
            args: None,
            accelerate: false,
            port: 9000,
        };
        let carried = Map::from_iter([("Role".to_owned(), json!("r")), ("DnsCache".to_owned(), json!("TRUE"))]);
        VersionSpec { memory_mb: 512, description: "old".to_owned(), carried, ..default_for(image) }
    }

    fn host() -> HostEnvironment {
        HostEnvironment::default()
    }

    fn applied(request: UpdateFunctionConfigurationRequest) -> Result<VersionSpec, &'static str> {
        apply(&request.into(), EVENT, base(), &host()).map_err(|error| error.code.name)
    }

    #[test]
    fn nothing_given_changes_nothing() {
        assert_eq!(applied(UpdateFunctionConfigurationRequest::default()), Ok(base()));
    }

    #[test]
    fn what_is_given_replaces_and_the_rest_stays() {
        let request = UpdateFunctionConfigurationRequest {
            timeout: Some(30),
            description: Some(String::new()),
            role: Some(String::new()),
            public_net_config: Some(PublicNetConfigIn {
                public_net_status: Some("DISABLE".to_owned()),
                eip_config: None,
            }),
            ..UpdateFunctionConfigurationRequest::default()
        };
        let spec = applied(request).expect("valid");
        assert_eq!((spec.timeout_s, spec.memory_mb, spec.description.as_str()), (30, 512, ""));
        let carried = json!({"DnsCache": "TRUE", "PublicNetConfig": {"PublicNetStatus": "DISABLE", "EipConfig": null}});
        assert_eq!(Value::Object(spec.carried), carried);
    }

    #[test]
    fn what_would_have_no_effect_is_refused_unless_it_is_empty_or_stored_already() {
        let empty = || UpdateFunctionConfigurationRequest::default();
        let vpc = || Some(VpcConfig { vpc_id: "vpc-1".to_owned(), subnet_id: "s".to_owned() });
        for (field, request) in [
            ("VpcConfig", UpdateFunctionConfigurationRequest { vpc_config: vpc(), ..empty() }),
            ("ClsLogsetId", UpdateFunctionConfigurationRequest { cls_logset_id: Some("l".to_owned()), ..empty() }),
            ("ClsTopicId", UpdateFunctionConfigurationRequest { cls_topic_id: Some("t".to_owned()), ..empty() }),
        ] {
            let error = apply(&request.into(), EVENT, base(), &host()).expect_err(field);
            assert_eq!(error.code.name, "UnsupportedOperation");
            assert!(error.message.starts_with(&format!("{field}: it has no effect here")), "{}", error.message);
        }
        for (field, request) in [
            ("DnsCache", json!({"DnsCache": "TRUE"})),
            ("L5Enable", json!({"L5Enable": "TRUE"})),
            ("IgnoreSysLog", json!({"IgnoreSysLog": true})),
            ("IntranetConfig.IpFixed", json!({"IntranetConfig": {"IpFixed": "ENABLE"}})),
            (
                "PublicNetConfig.EipConfig.EipStatus",
                json!({"PublicNetConfig": {"PublicNetStatus": "ENABLE", "EipConfig": {"EipStatus": "ENABLE"}}}),
            ),
        ] {
            let request: UpdateFunctionConfigurationRequest = serde_json::from_value(request).expect("a request");
            let mut fresh = base();
            fresh.carried.clear();
            let error = apply(&request.into(), EVENT, fresh, &host()).expect_err(field);
            assert_eq!(error.code.name, "UnsupportedOperation");
            assert!(error.message.starts_with(&format!("{field}: turning it on has no effect")), "{}", error.message);
        }
        let off = json!({"DnsCache": "FALSE", "L5Enable": "FALSE", "IgnoreSysLog": false,
            "IntranetConfig": {"IpFixed": "DISABLE"},
            "PublicNetConfig": {"PublicNetStatus": "ENABLE", "EipConfig": {"EipStatus": "DISABLE"}}});
        assert!(applied(serde_json::from_value(off).expect("a request")).is_ok());
        let nothing = UpdateFunctionConfigurationRequest {
            vpc_config: Some(VpcConfig::default()),
            cfs_config: Some(CfsConfig::default()),
            dead_letter_config: Some(DeadLetterConfig::default()),
            cls_logset_id: Some(String::new()),
            role: Some("any".to_owned()),
            ..empty()
        };
        assert!(applied(nothing).is_ok());
        // A value stored by an earlier release is kept, accepted again, and removable.
        let mut stored = base();
        stored.carried.insert("VpcConfig".to_owned(), serde_json::to_value(vpc()).expect("serializes"));
        let change = |request: UpdateFunctionConfigurationRequest| {
            apply(&request.into(), EVENT, stored.clone(), &host()).map_err(|error| error.code.name)
        };
        let kept = change(UpdateFunctionConfigurationRequest { vpc_config: vpc(), timeout: Some(9), ..empty() });
        assert_eq!(kept.map(|spec| spec.carried), Ok(stored.carried.clone()));
        assert!(change(UpdateFunctionConfigurationRequest { timeout: Some(9), ..empty() }).is_ok());
        let other = VpcConfig { vpc_id: "vpc-2".to_owned(), subnet_id: "s".to_owned() };
        let other = change(UpdateFunctionConfigurationRequest { vpc_config: Some(other), ..empty() });
        assert_eq!(other, Err("UnsupportedOperation"));
        assert!(
            change(UpdateFunctionConfigurationRequest { vpc_config: Some(VpcConfig::default()), ..empty() }).is_ok()
        );
    }

    #[test]
    fn volumes_are_given_by_either_object_and_not_by_two_that_differ() {
        let cfs = |path: &str| {
            let info = types::wire::CfsInsInfo {
                cfs_id: "data".to_owned(),
                local_mount_dir: path.to_owned(),
                ..Default::default()
            };
            Some(CfsConfig { cfs_ins_list: vec![info] })
        };
        let own = |path: &str| {
            let mount = types::wire::Mount { volume: "data".to_owned(), path: path.to_owned(), ..Default::default() };
            Some(types::wire::Extras { mounts: Some(vec![mount]), ..Default::default() })
        };
        let request =
            |cfs_config, sampan| UpdateFunctionConfigurationRequest { cfs_config, sampan, ..Default::default() };
        let mounts = |request| applied(request).map(|spec| spec.extras.mounts);
        let expected = vec![types::Mount::parse("data:/srv").expect("valid")];
        for given in [request(cfs("/srv"), None), request(None, own("/srv")), request(cfs("/srv"), own("/srv"))] {
            assert_eq!(mounts(given), Ok(expected.clone()));
        }
        assert_eq!(mounts(request(cfs("/srv"), own("/other"))), Err("InvalidParameterValue"));
        let mut stored = base();
        stored.carried.insert("CfsConfig".to_owned(), serde_json::to_value(cfs("/old")).expect("serializes"));
        let again = apply(&request(cfs("/old"), None).into(), EVENT, stored.clone(), &host()).expect("taken");
        assert_eq!(again, stored, "what an earlier release stored stays as it was");
        let other = apply(&request(cfs("/srv"), None).into(), EVENT, stored, &host()).expect("taken");
        assert!(other.extras.mounts == expected && !other.carried.contains_key("CfsConfig"));
    }

    #[test]
    fn a_run_of_a_day_is_for_functions_that_answer_with_an_id() {
        let timeout = |seconds, async_run| {
            let request = UpdateFunctionConfigurationRequest {
                timeout: Some(seconds),
                ..UpdateFunctionConfigurationRequest::default()
            };
            apply(&request.into(), Fixed { async_run, ..EVENT }, base(), &host()).map(|spec| spec.timeout_s)
        };
        assert_eq!((timeout(900, false), timeout(86_400, true)), (Ok(900), Ok(86_400)));
        let refused = timeout(901, false).expect_err("too long");
        assert_eq!(refused.code.name, "LimitExceeded.Timeout");
        assert!(refused.message.contains("use 1 to 900, or up to 86400 in a function made with AsyncRunEnable"));
        assert_eq!(timeout(86_401, true).expect_err("too long").code.name, "LimitExceeded.Timeout");
    }

    #[test]
    fn one_wrong_setting_refuses_all() {
        let request = UpdateFunctionConfigurationRequest {
            timeout: Some(30),
            memory_size: Some(1),
            ..UpdateFunctionConfigurationRequest::default()
        };
        assert_eq!(applied(request), Err("InvalidParameterValue.MemorySize"));
        let request = UpdateFunctionConfigurationRequest {
            dns_cache: Some("maybe".to_owned()),
            ..UpdateFunctionConfigurationRequest::default()
        };
        assert_eq!(applied(request), Err("InvalidParameterValue"));
    }
}
