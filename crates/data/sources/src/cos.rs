//! `cos`: objects of a bucket that change, as its store notifies of them or as lists show them.

use std::collections::BTreeSet;

use bytes::Bytes;
use events::InvokeType;
use formats::hook::{Invalid, Objects as Description};
use formats::object::listing::{Listed, Pass, Seen};
use formats::object::{Origin, cos_event};
use serde_json::{Map, Value};
use types::{ApiError, Trigger};

use crate::hook;
use crate::source::{Given, Occurrence, Source, invalid};

/// The kind `cos`.
pub(crate) struct Cos {
    /// Stores of the settings.
    pub(crate) connections: BTreeSet<String>,
}

impl Source for Cos {
    fn kind(&self) -> &'static str {
        "cos"
    }

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Cos
    }

    fn suits_web_functions(&self) -> bool {
        true
    }

    fn describe(&self, given: Given, _now_ms: i64) -> Result<Map<String, Value>, ApiError> {
        // The bucket is otherwise that of the trigger's name, which every name makes one of.
        let connections = &self.connections;
        hook::checked(given, |text| {
            let Some(poll) = Description::parse(text, "bucket")?.poll else { return Ok(()) };
            match connections.contains(&poll.connection) {
                true => Ok(()),
                false => {
                    let known = connections.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let why =
                        format!("{:?} is none of [connections] in the settings; there are: {known}", poll.connection);
                    Err(Invalid::Field { field: "Poll.Connection", why })
                }
            }
        })
    }

    fn shown(&self, desc: &Map<String, Value>) -> Map<String, Value> {
        hook::shown(desc)
    }

    fn event(&self, trigger: &Trigger, occurrence: &Occurrence) -> Result<Bytes, ApiError> {
        let Occurrence::Test { at_ms } = occurrence else {
            return Err(invalid("a trigger of objects has no times"));
        };
        let object = Listed { key: "test".to_owned(), etag: None, size: Some(0), modified_ms: *at_ms };
        let change = Pass::begin(None, *at_ms, 0).change(&trigger.name, &object, &Seen::default());
        let origin = Origin { app_id: "", region: "", notification_id: &trigger.name, queue: "", endpoint: "" };
        let event = change.and_then(|change| cos_event(&change, origin));
        Ok(event.ok_or_else(|| invalid("no event can be made"))?.into())
    }
}
