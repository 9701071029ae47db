//! Messages of the administrative endpoint for dead letters. Pure.

use serde::{Deserialize, Serialize};

use crate::{FunctionName, Namespace, RequestId};

/// Path of the endpoint.
pub const PATH: &str = "/admin/dead-letters";
/// The action that its requests sign.
pub const ACTION: &str = "AdministerDeadLetters";
/// Most dead letters in a page.
pub const PAGE_MAX: usize = 100;

/// Which dead letters a command is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// The one of this event.
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
        /// Only those after this row.
        after: u64,
        /// Most of them, up to [`PAGE_MAX`].
        limit: usize,
    },
    /// Shows one with its payload and its history.
    Get {
        /// Its event.
        id: RequestId,
    },
    /// Lets dead letters run again.
    Redrive {
        /// Which.
        of: Selection,
    },
    /// Removes dead letters.
    Purge {
        /// Which.
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
    /// Response to `Redrive`: how many run again.
    Redriven(usize),
    /// Response to `Purge`: how many were removed.
    Purged(usize),
    /// A failed request.
    Refused {
        /// HTTP status.
        status: u16,
        /// The reason.
        message: String,
    },
}

/// An event of which no run ended well. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its row: greater than those of dead letters before it.
    pub row: u64,
    /// Its event.
    pub id: RequestId,
    /// The event's namespace.
    pub namespace: Namespace,
    /// The event's function.
    pub function: FunctionName,
    /// Version or alias.
    pub qualifier: String,
    /// How the event came in, as `InvokeType`.
    pub invoke_type: String,
    /// Why it was given up.
    pub reason: String,
    /// Status code of its last run.
    pub status_code: Option<u16>,
    /// Runs that began.
    pub attempts: u32,
    /// Time of its acceptance.
    pub accepted_ms: i64,
    /// When it became a dead letter.
    pub died_ms: i64,
    /// When it was redriven; it is history since.
    pub redriven_ms: Option<i64>,
    /// The last run's answer or error.
    pub result: Option<String>,
    /// Size of its payload.
    pub payload_bytes: u64,
    /// Where it was to go, if it is what an event's end sends: a URL, `fn:NAME` or `http:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
}

/// A dead letter with all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The last time that its event became a dead letter.
    pub dead_letter: DeadLetter,
    /// The times before, oldest first.
    pub history: Vec<DeadLetter>,
    /// The payload where it is text.
    pub payload: Option<String>,
    /// The payload in Base64 where it is not.
    pub payload_base64: Option<String>,
}
