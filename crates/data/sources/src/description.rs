//! `TriggerDesc`: a text in the kind's own form, or a JSON object that contains the options common
//! to all triggers besides the kind's own fields.

use serde_json::{Map, Value};
use types::{ApiError, Trigger, TriggerOptions};

use crate::source::{Given, Source, invalid};

/// Parses a `TriggerDesc`: its stored form, and its options.
///
/// # Errors
/// `InvalidParameterValue.TriggerDesc`, or a more specific code of the kind.
pub fn read(
    source: &dyn Source,
    text: &str,
    bytes_max: usize,
    now_ms: i64,
) -> Result<(Map<String, Value>, TriggerOptions), ApiError> {
    if text.len() > bytes_max {
        return Err(invalid(format!("it has {} bytes; at most {bytes_max} are allowed", text.len())));
    }
    let text = text.trim();
    if text.starts_with(['[', '"']) {
        return Err(invalid("it must be a JSON object in {}, or of a timer the expression alone"));
    }
    if !text.starts_with('{') {
        return Ok((source.describe(Given::Text(text.to_owned()), now_ms)?, TriggerOptions::default()));
    }
    let mut object = formats::json::object(text).map_err(invalid)?;
    let options = take_options(&mut object)?;
    if options != TriggerOptions::default() && !source.makes_events() {
        let [age, rate, concurrency] = TriggerOptions::KEYS;
        return Err(invalid(format!(
            "{age}, {rate} and {concurrency} are of triggers that make events; one of {} does not",
            source.kind()
        )));
    }
    Ok((source.describe(Given::Object(object), now_ms)?, options))
}

/// A `TriggerDesc` that changes a trigger: values that responses hide are kept from the old one.
pub fn changed(text: &str, old: &Trigger) -> String {
    formats::hook::with_secrets_of(text, &old.desc)
}

/// A trigger's `TriggerDesc` for responses.
pub fn shown(source: Option<&dyn Source>, trigger: &Trigger) -> String {
    let mut object = source.map_or_else(|| trigger.desc.clone(), |source| source.shown(&trigger.desc));
    if let Ok(Value::Object(options)) = serde_json::to_value(&trigger.options) {
        object.extend(options);
    }
    Value::Object(object).to_string()
}

fn take_options(object: &mut Map<String, Value>) -> Result<TriggerOptions, ApiError> {
    let keys = TriggerOptions::KEYS.into_iter();
    let taken: Map<String, Value> = keys.filter_map(|key| object.remove_entry(key)).collect();
    if let Some((key, _)) = taken.iter().find(|(_, value)| !value.is_null() && !value.is_u64()) {
        return Err(invalid(format!("{key} must be a whole number")));
    }
    let options: TriggerOptions = serde_json::from_value(Value::Object(taken)).map_err(invalid)?;
    let bounds = [
        ("max_age_s", options.max_age_s, 1, 7 * 24 * 3600),
        ("rate_per_minute", options.rate_per_minute, 1, 1_000_000),
        ("concurrency", options.concurrency, 1, 10_000),
    ];
    for (key, value, min, max) in bounds {
        if value.is_some_and(|value| !(min..=max).contains(&value)) {
            return Err(invalid(format!("{key} is not between {min} and {max}")));
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use types::ErrorCode;

    use super::*;
    use crate::{Config, Sources};

    fn read(text: &str) -> Result<(String, TriggerOptions), ApiError> {
        let sources = Sources::new(Config::default());
        let (desc, options) = super::read(sources.find("timer").unwrap(), text, 1000, 0)?;
        Ok((Value::Object(desc).to_string(), options))
    }

    #[test]
    fn values_of_a_wrong_type_are_named() {
        for (text, said) in [
            ("[]", "it must be a JSON object"),
            (r#""0 0 9 * * * *""#, "it must be a JSON object"),
            (r#"{"cron": 5}"#, "cron must be a string"),
            (r#"{"cron": "0 0 9 * * * *", "zone": 8}"#, "zone must be a string"),
            (r#"{"cron": "0 0 9 * * * *", "max_age_s": "60"}"#, "max_age_s must be a whole number"),
            (r#"{"cron": "0 0 9 * * * *", "concurrency": -1}"#, "concurrency must be a whole number"),
        ] {
            let message = read(text).unwrap_err().message;
            assert!(message.contains(said), "{text}: {message}");
        }
    }

    #[test]
    fn options_stand_beside_what_the_kind_needs() {
        let (desc, options) = read(r#"{"cron": "0 0 9 * * * *", "max_age_s": 60}"#).unwrap();
        assert_eq!(desc, r#"{"cron":"0 0 9 * * * *"}"#);
        assert_eq!(options, TriggerOptions { max_age_s: Some(60), ..TriggerOptions::default() });
        assert_eq!(read(" 0 0 9 * * * * ").unwrap(), (desc, TriggerOptions::default()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = "x".repeat(1001);
        for (text, part) in [
            ("{", "no JSON object"),
            (r#"{"cron": "0 0 9 * * * *", "max_age_s": 0}"#, "max_age_s is not between 1"),
            (r#"{"cron": "0 0 9 * * * *", "concurrency": 0}"#, "concurrency is not between 1 and 10000"),
            (r#"{"cron": "0 0 9 * * * *", "max_age_s": "a"}"#, "max_age_s must be a whole number"),
            (r#"{"cron": "0 0 9 * * * *", "colour": 1}"#, "colour"),
            (r#"{"cron": "0 0 9 * * * *", "cron": "0 0 8 * * * *"}"#, "cron is written twice"),
            (r#"{"cron": "0 0 9 * * * *", "max_age_s": 1, "max_age_s": 2}"#, "max_age_s is written twice"),
            (long.as_str(), "1001 bytes"),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.code, ErrorCode::INVALID_VALUE_TRIGGER_DESC, "{text}");
            assert!(error.message.contains(part), "{text}: {}", error.message);
        }
    }
}
