//! `cloudevents`: CloudEvents 1.0 over HTTP, single or in batches.

use bytes::Bytes;
use events::InvokeType;
use formats::hook::CloudEvents as Description;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use types::{ApiError, Trigger};

use crate::hook;
use crate::source::{Given, Occurrence, Source, invalid};

/// The kind `cloudevents`.
pub(crate) struct CloudEvents;

impl Source for CloudEvents {
    fn kind(&self) -> &'static str {
        "cloudevents"
    }

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Invoke
    }

    fn suits_web_functions(&self) -> bool {
        true
    }

    fn describe(&self, given: Given, _now_ms: i64) -> Result<Map<String, Value>, ApiError> {
        hook::checked(given, |text| Description::parse(text).map(drop))
    }

    fn shown(&self, desc: &Map<String, Value>) -> Map<String, Value> {
        hook::shown(desc)
    }

    fn event(&self, trigger: &Trigger, occurrence: &Occurrence) -> Result<Bytes, ApiError> {
        let Occurrence::Test { at_ms, .. } = occurrence else {
            return Err(invalid("a receiver of CloudEvents has no times"));
        };
        let time = Timestamp::from_millisecond(*at_ms).map_or(String::new(), |time| time.to_string());
        let event = json!({
            "specversion": "1.0", "id": format!("test-{at_ms}"), "source": format!("/triggers/{}", trigger.name),
            "type": "test", "time": time, "data": {"test": true},
        });
        Ok(event.to_string().into())
    }
}
