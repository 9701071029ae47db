//! `http`: the URL of a version or alias (contract 4.11). It creates no events: the gateway answers
//! calls according to its description.

use bytes::Bytes;
use events::InvokeType;
use formats::function_url::{FunctionUrl, Invalid, URL_KEYS};
use serde_json::{Map, Value};
use types::{ApiError, ErrorCode, Trigger};

use crate::source::{Given, Occurrence, Source, invalid};

/// The kind `http`.
pub(crate) struct Http;

impl Source for Http {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Invoke
    }

    fn suits_web_functions(&self) -> bool {
        true
    }

    fn makes_events(&self) -> bool {
        false
    }

    fn describe(&self, given: Given, _now_ms: i64) -> Result<Map<String, Value>, ApiError> {
        let Given::Object(mut object) = given else {
            return Err(invalid(
                "it is no JSON object; the least is {\"AuthType\": \"NONE\"} or {\"AuthType\": \"CAM\"}",
            ));
        };
        if let Some(Value::Object(net)) = object.get_mut("NetConfig") {
            net.retain(|key, _| !URL_KEYS.contains(&key.as_str()));
        }
        let url = FunctionUrl::parse(&Value::Object(object).to_string()).map_err(|error| match error {
            Invalid::Cors { .. } => ApiError::new(ErrorCode::INVALID_VALUE_CORS, error.to_string()),
            other => invalid(other),
        })?;
        match serde_json::to_value(url) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(invalid("it cannot be kept")),
        }
    }

    fn event(&self, _trigger: &Trigger, _occurrence: &Occurrence) -> Result<Bytes, ApiError> {
        let message = "Type: an http trigger makes no events; call its URL";
        Err(ApiError::new(ErrorCode::UNSUPPORTED_TRIGGER, message.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> Result<String, (&'static str, String)> {
        let given = match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Given::Object(object),
            _ => Given::Text(text.to_owned()),
        };
        let described = Http.describe(given, 0);
        described.map(|desc| Value::Object(desc).to_string()).map_err(|error| (error.code.name, error.message))
    }

    #[test]
    fn descriptions_are_kept_whole_and_wrong_ones_have_the_contracts_codes() {
        let net = r#""NetConfig":{"EnableExtranet":true,"EnableIntranet":true}"#;
        assert_eq!(described(r#"{"AuthType":"CAM"}"#).unwrap(), format!(r#"{{"AuthType":"CAM",{net}}}"#));
        let shown = r#"{"AuthType":"CAM","NetConfig":{"EnableExtranet":true,"ExtranetUrl":"http://a/fn/b/c/"}}"#;
        assert_eq!(described(shown).unwrap(), format!(r#"{{"AuthType":"CAM",{net}}}"#), "what answers add is left out");
        let (code, message) = described("NONE").unwrap_err();
        assert_eq!(code, "InvalidParameterValue.TriggerDesc");
        assert!(message.contains("AuthType"), "{message}");
        let cors = r#"{"AuthType":"NONE","CorsConfig":{"Enable":true,"Origins":["*"],"Credentials":true}}"#;
        assert_eq!(described(cors).unwrap_err().0, "InvalidParameterValue.Cors");
        assert_eq!(described(r#"{"AuthType":"ROLE"}"#).unwrap_err().0, "InvalidParameterValue.TriggerDesc");
    }
}
