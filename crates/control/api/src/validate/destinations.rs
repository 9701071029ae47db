//! Destinations of a function's finished events. Pure.

use events::Destination;
use serde_json::Value;
use types::{ApiError, ErrorCode};

use super::invalid;

/// The destination in a setting; `None` for other settings and for an empty one.
pub(crate) fn target(name: &str, value: &Value) -> Result<Option<Destination>, ApiError> {
    let text = match name {
        "OnSuccess" | "OnFailure" => value.as_str().unwrap_or_default().to_owned(),
        "DeadLetterConfig" => match dead_letter_text(value)? {
            Some(text) => text,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    if text.is_empty() {
        return Ok(None);
    }
    let code =
        if name == "DeadLetterConfig" { ErrorCode::INVALID_VALUE_DEAD_LETTER_CONFIG } else { ErrorCode::INVALID_VALUE };
    text.parse().map(Some).map_err(|error: events::NotADestination| invalid(code, name, error.to_string()))
}

/// Refuses a destination setting that cannot be parsed.
pub(crate) fn check(name: &str, value: &Value) -> Result<(), ApiError> {
    target(name, value).map(drop)
}

/// `Type` is `fn` or `http`, as in the other destinations.
fn dead_letter_text(config: &Value) -> Result<Option<String>, ApiError> {
    let field = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    if !field("FilterType").is_empty() {
        let problem = "tags of topics have no meaning here; leave it empty";
        return Err(invalid(ErrorCode::INVALID_VALUE_DEAD_LETTER_CONFIG, "DeadLetterConfig.FilterType", problem));
    }
    match (field("Type"), field("Name")) {
        ("", "") => Ok(None),
        ("fn" | "http", name) => Ok(Some(format!("{}:{name}", field("Type")))),
        _ => {
            let problem = "it is not fn (a function of the namespace) or http ([connections.NAME] of the settings)";
            Err(invalid(ErrorCode::INVALID_VALUE_DEAD_LETTER_CONFIG, "DeadLetterConfig.Type", problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn destinations_are_read_from_their_settings() {
        let read = |name: &str, value: Value| target(name, &value).map(|found| found.map(|of| of.to_string()));
        assert_eq!(read("OnSuccess", json!("fn:next")), Ok(Some("fn:next".to_owned())));
        assert_eq!(read("OnFailure", json!("")), Ok(None));
        assert_eq!(read("Role", json!("fn:next")), Ok(None));
        let letters = json!({"Type": "http", "Name": "ops", "FilterType": ""});
        assert_eq!(read("DeadLetterConfig", letters), Ok(Some("http:ops".to_owned())));
        assert_eq!(read("DeadLetterConfig", json!({"Type": "", "Name": ""})), Ok(None));
    }

    #[test]
    fn what_names_no_destination_is_refused() {
        let code = |name: &str, value: Value| target(name, &value).expect_err("refused").code.name;
        for bad in ["next", "fn:", "url:https://a/", "https://a/", "http:a/b"] {
            assert_eq!(code("OnFailure", json!(bad)), "InvalidParameterValue", "{bad}");
        }
        for bad in [
            json!({"Type": "CMQ-QUEUE", "Name": "q"}),
            json!({"Name": "q"}),
            json!({"Type": "fn", "Name": ""}),
            json!({"Type": "fn", "Name": "next", "FilterType": "x"}),
        ] {
            assert_eq!(code("DeadLetterConfig", bad), "InvalidParameterValue.DeadLetterConfig");
        }
    }
}
