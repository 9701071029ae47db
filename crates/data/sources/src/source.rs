//! What a kind of trigger is.

use std::fmt::Display;

use bytes::Bytes;
use events::InvokeType;
use serde_json::{Map, Value};
use types::{ApiError, ErrorCode, FunctionKey, Trigger};

/// A `TriggerDesc` without the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A text that is no JSON object.
    Text(String),
    /// A JSON object.
    Object(Map<String, Value>),
}

/// A kind of trigger.
pub trait Source: Send + Sync + 'static {
    /// `Type` of the API.
    fn kind(&self) -> &'static str;

    /// How its events come in.
    fn invoke_type(&self) -> InvokeType;

    /// Whether web functions can have it. Event functions can have every kind.
    fn suits_web_functions(&self) -> bool {
        false
    }

    /// Whether it makes events at all: only such ones have an age and a rate.
    fn makes_events(&self) -> bool {
        true
    }

    /// Whether its events carry `CustomArgument`.
    fn has_argument(&self) -> bool {
        false
    }

    /// Reads what is particular to the kind of a `TriggerDesc`, and makes of it what is stored.
    ///
    /// # Errors
    /// `InvalidParameterValue.TriggerDesc` or another code of the contract, naming what is wrong.
    fn describe(&self, given: Given, now_ms: i64) -> Result<Map<String, Value>, ApiError>;

    /// What answers show of that; secrets are left out.
    fn shown(&self, desc: &Map<String, Value>) -> Map<String, Value> {
        desc.clone()
    }

    /// The payload of an event.
    ///
    /// # Errors
    /// When this kind of trigger makes no events of such an occurrence.
    fn event(&self, trigger: &Trigger, occurrence: &Occurrence) -> Result<Bytes, ApiError>;

    /// What may go wrong with it and a version of its function that has these variables.
    fn warning(&self, _trigger: &Trigger, _environment: &[(String, String)]) -> Option<String> {
        None
    }

    /// The next times at which it makes events, Unix milliseconds, of a kind that knows them.
    fn next(&self, _trigger: &Trigger, _after_ms: i64, _count: usize) -> Option<Vec<i64>> {
        None
    }
}

/// What an event is made of.
#[derive(Debug, Clone)]
pub enum Occurrence {
    /// A time has come, Unix milliseconds.
    Tick {
        /// The time that was scheduled.
        at_ms: i64,
    },
    /// The trigger's owner tries it out; the event says so.
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
