//! Concurrency of instances, and protocols of web functions.

use types::limits::MAX_CONCURRENCY_MAX;
use types::wire::{InstanceConcurrencyConfig, ProtocolParams};
use types::{ApiError, ConcurrencySpec, ErrorCode, FunctionKind};

use super::{filled, invalid, quoted, sessions};

/// Value of `Type`: any instance with a free slot serves a request.
const REQUESTS: &str = "Request-Based";
/// Value of `Type`: one instance serves all requests of a session.
const SESSIONS: &str = "Session-Based";
/// The only protocol beside plain HTTP.
const WEBSOCKET: &str = "WS";
/// Longest idle timeout of a WebSocket connection, in seconds.
const IDLE_TIMEOUT_S_MAX: u64 = 1800;

/// `InstanceConcurrencyConfig`; `None` means one request at a time.
pub(crate) fn instance_concurrency(
    kind: FunctionKind,
    config: &InstanceConcurrencyConfig,
) -> Result<Option<ConcurrencySpec>, ApiError> {
    let field = |name: &str| format!("InstanceConcurrencyConfig.{name}");
    let off = config.dynamic_enabled.as_deref() == Some("") || *config == InstanceConcurrencyConfig::default();
    if off {
        return Ok(None);
    }
    if kind == FunctionKind::Event {
        let problem =
            "an event function serves one event at a time in an instance; only functions of type HTTP have it";
        return Err(invalid(ErrorCode::INVALID_VALUE_CONCURRENCY_CONFIG, "InstanceConcurrencyConfig", problem));
    }
    if let Some(other) = config.dynamic_enabled.as_deref().filter(|text| !text.eq_ignore_ascii_case("FALSE")) {
        let problem =
            format!("{} is not supported; use FALSE with MaxConcurrency, or an empty text for none", quoted(other));
        return Err(invalid(ErrorCode::INVALID_VALUE_DYNAMIC_ENABLED, &field("DynamicEnabled"), problem));
    }
    let session = match filled(config.r#type.as_deref()) {
        None | Some(REQUESTS) => None,
        Some(SESSIONS) => Some(sessions::spec(config.session_config.as_ref())?),
        Some(other) => {
            let problem = format!("{} is not allowed; use {REQUESTS} or {SESSIONS}", quoted(other));
            return Err(invalid(ErrorCode::INVALID_VALUE_CONCURRENCY_CONFIG, &field("Type"), problem));
        }
    };
    // The number of sessions limits an instance already.
    let default = session.is_some().then(|| u64::from(MAX_CONCURRENCY_MAX));
    let given = super::required(&field("MaxConcurrency"), config.max_concurrency.or(default))?;
    let max_concurrency = u32::try_from(given).ok().filter(|n| (1..=MAX_CONCURRENCY_MAX).contains(n));
    let max_concurrency = max_concurrency.ok_or_else(|| {
        let problem = format!("{given} is not allowed; use 1 to {MAX_CONCURRENCY_MAX}");
        invalid(ErrorCode::INVALID_VALUE_MAX_CONCURRENCY, &field("MaxConcurrency"), problem)
    })?;
    let as_given = InstanceConcurrencyConfig { dynamic_enabled: Some("FALSE".to_owned()), ..config.clone() };
    let as_given = serde_json::to_value(as_given).expect("texts and numbers always serialize");
    Ok(Some(ConcurrencySpec { max_concurrency, session, as_given }))
}

/// `ProtocolType`; immutable after creation.
pub(crate) fn protocol(kind: FunctionKind, given: Option<&str>) -> Result<Option<String>, ApiError> {
    let wrong = |problem: String| Err(invalid(ErrorCode::INVALID_VALUE_PROTOCOL_TYPE, "ProtocolType", problem));
    match (filled(given), kind) {
        (None, _) => Ok(None),
        (Some(WEBSOCKET), FunctionKind::Http) => Ok(Some(WEBSOCKET.to_owned())),
        (Some(WEBSOCKET), FunctionKind::Event) => {
            wrong("only functions of type HTTP take WebSocket connections".to_owned())
        }
        (Some(other), _) => wrong(format!("{} is not allowed; use {WEBSOCKET} or leave it out", quoted(other))),
    }
}

/// `ProtocolParams`; they must match the protocol.
pub(crate) fn protocol_params(protocol: Option<&str>, params: &ProtocolParams) -> Result<(), ApiError> {
    let Some(ws) = &params.ws_params else { return Ok(()) };
    if protocol != Some(WEBSOCKET) {
        let problem = format!("only functions with ProtocolType {WEBSOCKET} have it");
        return Err(invalid(ErrorCode::INVALID_VALUE_WEBSOCKETS_PARAMS, "ProtocolParams.WSParams", problem));
    }
    match ws.idle_timeout_s {
        Some(idle) if !(1..=IDLE_TIMEOUT_S_MAX).contains(&idle) => {
            let problem = format!("{idle} s is not allowed; use 1 to {IDLE_TIMEOUT_S_MAX}");
            Err(invalid(ErrorCode::INVALID_VALUE_IDLE_TIMEOUT, "ProtocolParams.WSParams.IdleTimeOut", problem))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use types::wire::WsParams;

    use super::*;

    fn config(dynamic: Option<&str>, max: Option<u64>) -> InstanceConcurrencyConfig {
        let dynamic_enabled = dynamic.map(str::to_owned);
        InstanceConcurrencyConfig { dynamic_enabled, max_concurrency: max, ..InstanceConcurrencyConfig::default() }
    }

    fn web(config: &InstanceConcurrencyConfig) -> Result<Option<u32>, &'static str> {
        let spec = instance_concurrency(FunctionKind::Http, config).map_err(|error| error.code.name)?;
        Ok(spec.map(|spec| spec.max_concurrency))
    }

    #[test]
    fn a_fixed_number_of_requests_is_taken() {
        assert_eq!(web(&config(Some("FALSE"), Some(10))), Ok(Some(10)));
        assert_eq!(web(&config(None, Some(1))), Ok(Some(1)));
        assert_eq!(web(&config(Some(""), Some(10))), Ok(None));
        assert_eq!(web(&config(None, None)), Ok(None));
    }

    #[test]
    fn the_object_comes_back_as_it_was_given() {
        let given = config(None, Some(7));
        let spec = instance_concurrency(FunctionKind::Http, &given).expect("valid").expect("on");
        assert_eq!(spec.as_given, serde_json::json!({"DynamicEnabled": "FALSE", "MaxConcurrency": 7}));
    }

    #[test]
    fn sessions_need_no_number_of_requests() {
        let session_config = types::wire::SessionConfig {
            session_source: Some("HEADER".to_owned()),
            session_name: Some("X-Session".to_owned()),
            ..types::wire::SessionConfig::default()
        };
        let given = InstanceConcurrencyConfig {
            r#type: Some("Session-Based".to_owned()),
            session_config: Some(session_config),
            ..config(Some("FALSE"), None)
        };
        let spec = instance_concurrency(FunctionKind::Http, &given).expect("valid").expect("on");
        assert_eq!((spec.max_concurrency, spec.session.is_some()), (MAX_CONCURRENCY_MAX, true));
        let without = InstanceConcurrencyConfig { session_config: None, ..given };
        assert_eq!(web(&without), Err("MissingParameter"));
    }

    #[test]
    fn what_is_not_offered_has_its_code() {
        for bad in [0, 101, u64::MAX] {
            assert_eq!(web(&config(Some("FALSE"), Some(bad))), Err("InvalidParameterValue.MaxConcurrency"));
        }
        assert_eq!(web(&config(Some("FALSE"), None)), Err("MissingParameter"));
        assert_eq!(web(&config(Some("TRUE"), Some(2))), Err("InvalidParameterValue.DynamicEnabled"));
        let other = InstanceConcurrencyConfig { r#type: Some("Mood-Based".to_owned()), ..config(None, Some(2)) };
        assert_eq!(web(&other), Err("InvalidParameterValue.InstanceConcurrencyConfig"));
        let event = instance_concurrency(FunctionKind::Event, &config(None, Some(2))).expect_err("no web function");
        assert_eq!(event.code.name, "InvalidParameterValue.InstanceConcurrencyConfig");
        assert_eq!(instance_concurrency(FunctionKind::Event, &config(Some(""), None)), Ok(None));
    }

    #[test]
    fn websockets_are_for_web_functions() {
        let code = |kind, given| protocol(kind, given).map_err(|error| error.code.name);
        assert_eq!(code(FunctionKind::Http, Some("WS")), Ok(Some("WS".to_owned())));
        assert_eq!(code(FunctionKind::Event, Some("")), Ok(None));
        assert_eq!(code(FunctionKind::Event, Some("WS")), Err("InvalidParameterValue.ProtocolType"));
        assert_eq!(code(FunctionKind::Http, Some("GRPC")), Err("InvalidParameterValue.ProtocolType"));
    }

    #[test]
    fn parameters_of_websockets_need_the_protocol() {
        let params = |idle| ProtocolParams { ws_params: Some(WsParams { idle_timeout_s: idle }) };
        let code =
            |protocol, params: &ProtocolParams| protocol_params(protocol, params).map_err(|error| error.code.name);
        assert_eq!(code(None, &ProtocolParams::default()), Ok(()));
        assert_eq!(code(Some("WS"), &params(Some(1800))), Ok(()));
        assert_eq!(code(Some("WS"), &params(Some(0))), Err("InvalidParameterValue.IdleTimeOut"));
        assert_eq!(code(Some("WS"), &params(Some(1801))), Err("InvalidParameterValue.IdleTimeOut"));
        assert_eq!(code(None, &params(None)), Err("InvalidParameterValue.WebSocketsParams"));
    }
}
