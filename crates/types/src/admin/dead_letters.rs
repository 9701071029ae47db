//! Messages of the administrative endpoint for dead letters. Pure.

use serde::{Deserialize, Serialize};

use crate::{FunctionName, Namespace, RequestId};

/// Path of the endpoint.
pub const PATH: &str = "/admin/dead-letters";
/// The action that its requests sign.
pub const ACTION: &str = "AdministerDeadLetters";
/// Most dead letters in a page.
pub const PAGE_MAX: usize = 100;

/// Selects dead letters for a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// The dead letter of this event.
    One(RequestId),
    /// All of a namespace.
    All {
        /// The namespace.
        namespace: Namespace,
        /// Only those of this function.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function: Option<FunctionName>,
    },
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Lists dead letters, oldest first.
    List {
        /// The namespace.
        namespace: Namespace,
        /// Only those of this function.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function: Option<FunctionName>,
        /// Only rows after this one.
        after: u64,
        /// Page length, at most [`PAGE_MAX`].
        limit: usize,
    },
    /// Returns one with its payload and history.
    Get {
        /// Id of its event.
        id: RequestId,
    },
    /// Runs dead letters again.
    Redrive {
        /// The selection.
        of: Selection,
    },
    /// Removes dead letters.
    Purge {
        /// The selection.
        of: Selection,
    },
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Response to `List`.
    DeadLetters(Vec<DeadLetter>),
    /// Response to `Get`.
    DeadLetter(Box<Shown>),
    /// Response to `Redrive`: number of redriven events.
    Redriven(usize),
    /// Response to `Purge`: number of removed dead letters.
    Purged(usize),
    /// A failed request.
    Refused {
        /// HTTP status.
        status: u16,
        /// The reason.
        message: String,
    },
}

/// An event without a successful run. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Row number, increasing in order of arrival.
    pub row: u64,
    /// Id of its event.
    pub id: RequestId,
    /// The event's namespace.
    pub namespace: Namespace,
    /// The event's function.
    pub function: FunctionName,
    /// Version or alias.
    pub qualifier: String,
    /// Origin of the event, as `InvokeType`.
    pub invoke_type: String,
    /// Reason for giving up.
    pub reason: String,
    /// Status code of its last run.
    pub status_code: Option<u16>,
    /// Number of started runs.
    pub attempts: u32,
    /// When the event was accepted.
    pub accepted_ms: i64,
    /// When it became a dead letter.
    pub died_ms: i64,
    /// When it was redriven; a redriven dead letter is only history.
    pub redriven_ms: Option<i64>,
    /// Response or error of the last run.
    pub result: Option<String>,
    /// Size of its payload, in bytes.
    pub payload_bytes: u64,
    /// Destination, if it is the notification of an event's outcome: a URL, `fn:NAME` or
    /// `http:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// A dead letter with its payload and history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The latest time that its event became a dead letter.
    pub dead_letter: DeadLetter,
    /// Earlier times, oldest first.
    pub history: Vec<DeadLetter>,
    /// The payload, if it is text.
    pub payload: Option<String>,
    /// The payload in Base64, if it is not text.
    pub payload_base64: Option<String>,
}
