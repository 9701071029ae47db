//! A version's configuration: the defaults, and what given settings make of one.

use serde_json::{Map, Value};
use types::limits::{INIT_TIMEOUT_S_DEFAULT, MEMORY_MB_DEFAULT, TIMEOUT_S_DEFAULT};
use types::{ApiError, FunctionKind, ImageSpec, VersionSpec};

use super::given::Given;
use super::{concurrency, environment, scalars};

/// The configuration of an image of which nothing else is said.
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
    }
}

/// The configuration with what was given in place of what it had; what was not given stays.
pub(crate) fn apply(
    given: &Given,
    kind: FunctionKind,
    protocol: Option<&str>,
    base: VersionSpec,
) -> Result<VersionSpec, ApiError> {
    if let Some(params) = &given.protocol_params {
        concurrency::protocol_params(protocol, params)?;
    }
    let mut carried = base.carried;
    for (name, value) in given.carried()? {
        // An empty text takes a setting away.
        if value == Value::String(String::new()) {
            carried.remove(name);
        } else {
            carried.insert(name.to_owned(), value);
        }
    }
    Ok(VersionSpec {
        image: base.image,
        memory_mb: given.memory_size.map_or(Ok(base.memory_mb), scalars::memory_mb)?,
        timeout_s: given.timeout.map_or(Ok(base.timeout_s), scalars::timeout_s)?,
        init_timeout_s: given.init_timeout.map_or(Ok(base.init_timeout_s), scalars::init_timeout_s)?,
        description: given.description.as_deref().map_or(Ok(base.description), scalars::description)?,
        environment: given.environment.as_ref().map_or(Ok(base.environment), environment::variables)?,
        concurrency: match &given.concurrency {
            Some(config) => concurrency::instance_concurrency(kind, config)?,
            None => base.concurrency,
        },
        carried,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::ImageType;
    use types::wire::{UpdateFunctionConfigurationRequest, VpcConfig};

    use super::*;

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

    fn applied(request: UpdateFunctionConfigurationRequest) -> Result<VersionSpec, &'static str> {
        apply(&request.into(), FunctionKind::Event, None, base()).map_err(|error| error.code.name)
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
            vpc_config: Some(VpcConfig { vpc_id: "vpc-1".to_owned(), subnet_id: "s".to_owned() }),
            ..UpdateFunctionConfigurationRequest::default()
        };
        let spec = applied(request).expect("valid");
        assert_eq!((spec.timeout_s, spec.memory_mb, spec.description.as_str()), (30, 512, ""));
        let carried = json!({"DnsCache": "TRUE", "VpcConfig": {"VpcId": "vpc-1", "SubnetId": "s"}});
        assert_eq!(Value::Object(spec.carried), carried);
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
