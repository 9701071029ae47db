//! Common code of the kinds that receive HTTP requests; `formats::hook` parses their requests.

use formats::hook::{self, Invalid};
use serde_json::{Map, Value};
use types::{ApiError, ErrorCode};

use crate::source::{Given, invalid};

/// Checks that the kind can parse an object; it is stored as given.
pub(crate) fn checked(
    given: Given,
    check: impl FnOnce(&str) -> Result<(), Invalid>,
) -> Result<Map<String, Value>, ApiError> {
    let Given::Object(object) = given else { return Err(invalid("it is no JSON object")) };
    let text = Value::Object(object.clone()).to_string();
    check(&text).map_err(|error| ApiError::new(ErrorCode::INVALID_VALUE_TRIGGER_DESC, error.to_string()))?;
    Ok(object)
}

/// The same without its secrets.
pub(crate) fn shown(desc: &Map<String, Value>) -> Map<String, Value> {
    match serde_json::from_str(&hook::shown(&Value::Object(desc.clone()).to_string())) {
        Ok(Value::Object(shown)) => shown,
        // An unreadable one may contain a secret.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::{FunctionKey, Qualifier, TriggerId, TriggerOptions};

    use super::*;
    use crate::{Config, Occurrence, Sources, description};

    const SECRET: &str = "0123456789abcdef";

    fn trigger(kind: &str, desc: Map<String, Value>, options: TriggerOptions) -> types::Trigger {
        types::Trigger {
            id: TriggerId::random(),
            kind: kind.to_owned(),
            name: "films".to_owned(),
            qualifier: Qualifier::LATEST,
            desc,
            options,
            enabled: true,
            custom_argument: String::new(),
            description: String::new(),
            since_ms: 0,
            added_ms: 0,
            modified_ms: 0,
        }
    }

    #[test]
    fn secrets_are_stored_and_never_shown() {
        let sources = Sources::new(Config::default());
        for (kind, text) in [
            ("webhook", json!({"Scheme": "github", "Secrets": [SECRET], "rate_per_minute": 60})),
            ("cloudevents", json!({"Scheme": "bearer", "Secrets": [SECRET], "rate_per_minute": 60})),
            ("cos", json!({"event": "cos:ObjectCreated:*", "Secrets": [SECRET], "rate_per_minute": 60})),
        ] {
            let source = sources.find(kind).unwrap();
            let (desc, options) = description::read(source, &text.to_string(), 4096, 0).unwrap();
            assert_eq!(desc["Secrets"], json!([SECRET]), "{kind}");
            let trigger = trigger(kind, desc, options);
            let shown = description::shown(Some(source), &trigger);
            assert!(shown.contains("***") && shown.contains("60") && !shown.contains(SECRET), "{shown}");
            let function = FunctionKey { namespace: "default".parse().unwrap(), name: "report".parse().unwrap() };
            let test = source.event(&trigger, &Occurrence::Test { at_ms: 1, function }).unwrap();
            assert!(serde_json::from_slice::<Value>(&test).unwrap().is_object(), "{kind}");
            assert!(source.event(&trigger, &Occurrence::Tick { at_ms: 1 }).is_err(), "{kind}");
            // The placeholder is not a valid secret: it cannot be written back by mistake.
            let error = description::read(source, &shown, 4096, 0).unwrap_err();
            assert_eq!(error.code, ErrorCode::INVALID_VALUE_TRIGGER_DESC);
            assert!(error.message.contains("secret 1 has 3 bytes"), "{}", error.message);
        }
    }

    #[test]
    fn a_test_of_an_object_trigger_is_of_its_bucket_and_prefix() {
        let installation = types::Installation { app_id: "1250".to_owned(), ..types::Installation::default() };
        let sources = Sources::with_connections(Config::default(), Default::default(), installation);
        let desc = json!({"Bucket": "movies", "filter": {"Prefix": "in/"}, "Secrets": [SECRET]});
        let Value::Object(desc) = desc else { unreachable!("an object") };
        let trigger = trigger("cos", desc, TriggerOptions::default());
        let function = FunctionKey { namespace: "default".parse().unwrap(), name: "report".parse().unwrap() };
        let event = sources.find("cos").unwrap().event(&trigger, &Occurrence::Test { at_ms: 1, function }).unwrap();
        let cos = serde_json::from_slice::<Value>(&event).unwrap()["Records"][0]["cos"].clone();
        assert_eq!(
            (&cos["cosBucket"]["name"], &cos["cosObject"]["key"]),
            (&json!("movies"), &json!("/1250/movies/in/test"))
        );
    }
}
