//! `webhook`: requests whose bytes the sender signs; the bytes are the event.

use bytes::Bytes;
use events::InvokeType;
use formats::hook::Webhook as Description;
use serde_json::{Map, Value, json};
use types::{ApiError, Trigger};

use crate::hook;
use crate::source::{Given, Occurrence, Source, invalid};

/// The kind `webhook`.
pub(crate) struct Webhook;

impl Source for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
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
        match occurrence {
            Occurrence::Test { .. } => Ok(json!({"test": true, "trigger": trigger.name}).to_string().into()),
            Occurrence::Tick { .. } => Err(invalid("a webhook has no times")),
        }
    }
}
