//! `timer`: events at the times of a cron expression (contract 4.11).

use bytes::Bytes;
use events::InvokeType;
use jiff::Timestamp;
use schedule::{Schedule, Zone, shortened};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use types::{ApiError, Trigger};

use crate::config::Config;
use crate::source::{Given, Occurrence, Source, invalid};

/// `Type` of the API.
pub(crate) const KIND: &str = "timer";

/// The kind `timer`.
#[derive(Debug, Clone)]
pub(crate) struct Timer {
    zone: Zone,
}

/// The description of a timer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Desc {
    cron: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<Zone>,
}

/// The times of a timer.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    schedule: Schedule,
    zone: Zone,
}

impl Times {
    /// The last time up to `at_ms`, Unix milliseconds.
    pub(crate) fn last_until(&self, at_ms: i64) -> Option<i64> {
        self.zone.last_until(&self.schedule, at_ms)
    }

    /// The first time after `at_ms`.
    pub(crate) fn next_after(&self, at_ms: i64) -> Option<i64> {
        self.zone.next_after(&self.schedule, at_ms)
    }
}

impl Timer {
    pub(crate) fn new(config: &Config) -> Self {
        Self { zone: config.timer_zone.clone() }
    }

    /// The times of a stored timer; `None` when it can no longer be parsed.
    pub(crate) fn times_of(&self, trigger: &Trigger) -> Option<Times> {
        let desc: Desc = serde_json::from_value(Value::Object(trigger.desc.clone())).ok()?;
        self.times(&desc).ok()
    }

    fn times(&self, desc: &Desc) -> Result<Times, ApiError> {
        let schedule = Schedule::parse_timer(&desc.cron).map_err(|error| invalid(format!("cron: {error}")))?;
        Ok(Times { schedule, zone: desc.zone.clone().unwrap_or_else(|| self.zone.clone()) })
    }
}

impl Source for Timer {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn has_argument(&self) -> bool {
        true
    }

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Timer
    }

    fn describe(&self, given: Given, now_ms: i64) -> Result<Map<String, Value>, ApiError> {
        if let Given::Object(object) = &given {
            let is_other = |key: &&str| object.get(*key).is_some_and(|value| !value.is_string() && !value.is_null());
            if let Some(key) = ["cron", "zone"].iter().find(|key| is_other(key)) {
                return Err(invalid(format!("{key} must be a string")));
            }
        }
        let desc: Desc = match given {
            Given::Text(cron) => Desc { cron, zone: None },
            Given::Object(object) => serde_json::from_value(Value::Object(object)).map_err(invalid)?,
        };
        if self.times(&desc)?.next_after(now_ms).is_none() {
            return Err(invalid(format!(
                "cron {:?} never comes: no date to come has what it asks for",
                shortened(&desc.cron)
            )));
        }
        match serde_json::to_value(&desc) {
            Ok(Value::Object(object)) => Ok(object),
            _ => Err(invalid("it cannot be kept")),
        }
    }

    fn event(&self, trigger: &Trigger, occurrence: &Occurrence) -> Result<Bytes, ApiError> {
        let (at_ms, test) = match occurrence {
            Occurrence::Tick { at_ms } => (*at_ms, false),
            Occurrence::Test { at_ms, .. } => (*at_ms, true),
        };
        // Times of the contract have no fractions.
        let time = Timestamp::from_second(at_ms.div_euclid(1000)).map_or(String::new(), |time| time.to_string());
        let mut event = json!({
            "Type": "Timer", "TriggerName": trigger.name, "Time": time, "Message": trigger.custom_argument,
        });
        if test {
            event["Test"] = Value::Bool(true);
        }
        Ok(event.to_string().into())
    }

    fn next(&self, trigger: &Trigger, after_ms: i64, count: usize) -> Option<Vec<i64>> {
        let times = self.times_of(trigger)?;
        let following = std::iter::successors(times.next_after(after_ms), |at_ms| times.next_after(*at_ms));
        Some(following.take(count).collect())
    }
}

#[cfg(test)]
mod tests {
    use types::{Qualifier, TriggerId, TriggerOptions};

    use super::*;

    fn timer() -> Timer {
        Timer::new(&Config::default())
    }

    fn described(text: &str) -> Result<String, String> {
        let described = timer().describe(Given::Text(text.to_owned()), 1_773_000_000_000);
        described.map(|desc| Value::Object(desc).to_string()).map_err(|error| error.message)
    }

    fn trigger(desc: Value) -> Trigger {
        let Value::Object(desc) = desc else { panic!("an object") };
        Trigger {
            id: TriggerId::random(),
            kind: "timer".to_owned(),
            name: "tick".to_owned(),
            qualifier: Qualifier::LATEST,
            desc,
            options: TriggerOptions::default(),
            enabled: true,
            custom_argument: "say \"hi\"".to_owned(),
            description: String::new(),
            since_ms: 0,
            added_ms: 0,
            modified_ms: 0,
        }
    }

    #[test]
    fn a_bare_expression_is_answered_as_an_object() {
        assert_eq!(described("0 30 9 * * MON-FRI *").unwrap(), r#"{"cron":"0 30 9 * * MON-FRI *"}"#);
        assert_eq!(described("*/5 * * * *").unwrap(), r#"{"cron":"*/5 * * * *"}"#);
    }

    #[test]
    fn what_never_comes_is_refused() {
        let long = described(&format!("{} 0 0 * * * *", "1,".repeat(500))).expect_err("too long to be repeated");
        assert!(long.len() < 300 && long.contains("second: "), "{long}");
        for text in ["0 0 0 30 2 * *", "0 0 30 2 *", "0 0 0 1 1 * 2020", "* * *", "", "0 0 0 L * * *"] {
            let message = described(text).expect_err(text);
            assert!(message.starts_with("TriggerDesc: cron"), "{message}");
        }
        assert!(described("0 0 0 30 2 * *").expect_err("no such date").contains("never comes"));
        let zone = json!({"cron": "* * * * *", "zone": "Mars/Olympus"});
        let Value::Object(zone) = zone else { panic!("an object") };
        let message = timer().describe(Given::Object(zone), 0).expect_err("no such zone").message;
        assert!(message.contains("Mars/Olympus"), "{message}");
    }

    #[test]
    fn the_event_is_that_of_the_contract() {
        let trigger = trigger(json!({"cron": "* * * * *"}));
        let at_ms = 1_550_749_740_000;
        let event = timer().event(&trigger, &Occurrence::Tick { at_ms }).unwrap();
        let expected =
            json!({"Type": "Timer", "TriggerName": "tick", "Time": "2019-02-21T11:49:00Z", "Message": "say \"hi\""});
        assert_eq!(serde_json::from_slice::<Value>(&event).unwrap(), expected);
        let function = types::FunctionKey { namespace: "default".parse().unwrap(), name: "event".parse().unwrap() };
        let test = timer().event(&trigger, &Occurrence::Test { at_ms: at_ms + 999, function }).unwrap();
        let test: Value = serde_json::from_slice(&test).unwrap();
        assert_eq!((&test["Test"], &test["Time"]), (&json!(true), &json!("2019-02-21T11:49:00Z")));
    }

    #[test]
    fn next_times_are_in_the_zone_of_the_trigger() {
        let next = |desc: Value| timer().next(&trigger(desc), 1_773_000_000_000, 2).unwrap();
        let text = |ms: i64| Timestamp::from_millisecond(ms).unwrap().to_string();
        let china = next(json!({"cron": "0 9 * * *"}));
        assert_eq!(china.into_iter().map(text).collect::<Vec<_>>(), ["2026-03-09T01:00:00Z", "2026-03-10T01:00:00Z"]);
        let utc = next(json!({"cron": "0 9 * * *", "zone": "+00:00"}));
        assert_eq!(utc.into_iter().map(text).collect::<Vec<_>>(), ["2026-03-09T09:00:00Z", "2026-03-10T09:00:00Z"]);
    }
}
