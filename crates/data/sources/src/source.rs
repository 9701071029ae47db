//! The interface of a kind of trigger.

use std::fmt::Display;

use bytes::Bytes;
use events::InvokeType;
use serde_json::{Map, Value};
use types::{ApiError, ErrorCode, FunctionKey, Trigger};

/// A `TriggerDesc` without the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A text that is not a JSON object.
    Text(String),
    /// A JSON object.
    Object(Map<String, Value>),
}

/// A kind of trigger.
pub trait Source: Send + Sync + 'static {
    /// `Type` of the API.
    fn kind(&self) -> &'static str;

    /// The `InvokeType` of its events.
    fn invoke_type(&self) -> InvokeType;

    /// Whether web functions can have it. Event functions can have every kind.
    fn suits_web_functions(&self) -> bool {
        false
    }

    /// Whether it creates events: only such kinds have an age and a rate.
    fn makes_events(&self) -> bool {
        true
    }

    /// Whether its events carry `CustomArgument`.
    fn has_argument(&self) -> bool {
        false
    }

    /// Parses the kind's own part of a `TriggerDesc` to its stored form.
    ///
    /// # Errors
    /// `InvalidParameterValue.TriggerDesc` or another code of the contract, naming the problem.
    fn describe(&self, given: Given, now_ms: i64) -> Result<Map<String, Value>, ApiError>;

    /// The form for responses, without secrets.
    fn shown(&self, desc: &Map<String, Value>) -> Map<String, Value> {
        desc.clone()
    }

    /// The payload of an event.
    ///
    /// # Errors
    /// When this kind of trigger creates no events of such an occurrence.
    fn event(&self, trigger: &Trigger, occurrence: &Occurrence) -> Result<Bytes, ApiError>;

    /// A warning about the trigger with a version of its function that has these variables.
    fn warning(&self, _trigger: &Trigger, _environment: &[(String, String)]) -> Option<String> {
        None
    }

    /// The next times at which it creates events, Unix milliseconds, for a kind with a schedule.
    fn next(&self, _trigger: &Trigger, _after_ms: i64, _count: usize) -> Option<Vec<i64>> {
        None
    }
}

/// The cause of an event.
#[derive(Debug, Clone)]
pub enum Occurrence {
    /// A scheduled time, Unix milliseconds.
    Tick {
        /// The scheduled time.
        at_ms: i64,
    },
    /// A test by the trigger's owner, marked as such in the event.
    Test {
        /// When, Unix milliseconds.
        at_ms: i64,
        /// Its function.
        function: FunctionKey,
    },
}

/// An error about `TriggerDesc`.
pub fn invalid(problem: impl Display) -> ApiError {
    ApiError::new(ErrorCode::INVALID_VALUE_TRIGGER_DESC, format!("TriggerDesc: {problem}"))
}
