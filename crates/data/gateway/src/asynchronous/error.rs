//! Why an asynchronous call is refused.

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use types::RunStatus;

use super::hooks::HookError;
use super::options::BadOption;
use super::rates::RateExceeded;

/// `Retry-After` in seconds, by reason.
const SOON_S: u16 = 1;
const WHEN_RUNS_ENDED_S: u16 = 5;
const WHEN_MENDED_S: u16 = 30;

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum AsyncError {
    /// Its signature is invalid.
    #[error("{0}; sign calls of /async/ with TC3-HMAC-SHA256, over the path and the query as they are sent")]
    Unauthorized(String),
    /// A header is invalid.
    #[error("{0}")]
    Option(BadOption),
    /// Event functions accept only POST.
    #[error("event functions get events by POST /async/<namespace>/<function>, with the event as body")]
    Method,
    /// Its protocol needs a connected client.
    #[error("{0} cannot be replayed later; call the function under /fn/")]
    Protocol(&'static str),
    /// Its body is too large.
    #[error("content too large: {what} has at most {bytes_max} bytes ({limit})")]
    TooLarge {
        /// The owner of the body.
        what: &'static str,
        /// The limit.
        bytes_max: usize,
        /// Its setting, or the contract.
        limit: &'static str,
    },
    /// The bodies of other calls use up the budget.
    #[error(
        "the bodies of asynchronous calls under way hold {max} bytes already (setting \
         gateway.async.held_bytes_max); try again"
    )]
    Held {
        /// The limit.
        max: usize,
    },
    /// A rate limit is exceeded.
    #[error("{0}")]
    Rate(RateExceeded),
    /// The event is not JSON.
    #[error("the event is not JSON: {0}")]
    NotJson(String),
    /// The chain depth header is invalid.
    #[error("{0}")]
    ChainDepth(invoke::NotADepth),
    /// The chain of events is too long: the function calls itself, perhaps through others.
    #[error(
        "{max} events have led to this call, each caused by a run of the one before (X-Scf-Chain-Depth); a function \
         that causes its own events is stopped here",
        max = events::CHAIN_DEPTH_MAX
    )]
    ChainTooDeep,
    /// A trigger refused it.
    #[error("{0}")]
    Hook(HookError),
    /// The event queue refused it.
    #[error("{0}")]
    Queue(events::Error),
    /// The event queue failed; the client gets no details.
    #[error("the queue of events failed; the platform's log has the cause under the id of this request")]
    Failed,
}

impl From<events::Error> for AsyncError {
    fn from(error: events::Error) -> Self {
        use events::Error;
        match error {
            Error::Full { .. }
            | Error::DiskNearlyFull { .. }
            | Error::DiskFull
            | Error::Halted(_)
            | Error::Stopping
            | Error::Callback(_) => Self::Queue(error),
            other => {
                tracing::error!(error = %other, "cannot accept an asynchronous call");
                Self::Failed
            }
        }
    }
}

impl AsyncError {
    /// The HTTP status, and the status of the refused run.
    pub fn status(&self) -> (StatusCode, RunStatus) {
        use events::Error;
        match self {
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, RunStatus::UnauthorizedOperation),
            Self::ChainTooDeep => (StatusCode::LOOP_DETECTED, RunStatus::InvalidParameterValue),
            Self::Option(_) | Self::Protocol(_) | Self::ChainDepth(_) => {
                (StatusCode::BAD_REQUEST, RunStatus::InvalidParameterValue)
            }
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, RunStatus::InvalidParameterValue),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, RunStatus::RequestTooLarge),
            Self::Hook(error) => error.status(),
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, RunStatus::InvalidEvent),
            Self::Held { .. } | Self::Rate(_) | Self::Queue(Error::Full { .. }) => {
                (StatusCode::TOO_MANY_REQUESTS, RunStatus::ResourceLimit)
            }
            Self::Queue(Error::Callback(_)) => (StatusCode::BAD_REQUEST, RunStatus::InvalidParameterValue),
            Self::Queue(Error::DiskNearlyFull { .. } | Error::DiskFull) => {
                (StatusCode::INSUFFICIENT_STORAGE, RunStatus::InsufficientResources)
            }
            Self::Queue(_) | Self::Failed => (StatusCode::SERVICE_UNAVAILABLE, RunStatus::InternalError),
        }
    }

    /// Headers of the response that tell the client how to proceed.
    pub fn headers(&self) -> HeaderMap {
        use events::Error;
        let (name, value): (HeaderName, HeaderValue) = match self {
            Self::Unauthorized(_) => (WWW_AUTHENTICATE, HeaderValue::from_static("TC3-HMAC-SHA256")),
            Self::Method | Self::Hook(HookError::Method) => (ALLOW, HeaderValue::from_static("POST")),
            Self::Hook(HookError::Rate { wait_s, .. }) => (RETRY_AFTER, (*wait_s).into()),
            Self::Held { .. } | Self::Rate(_) => (RETRY_AFTER, SOON_S.into()),
            Self::Queue(Error::Full { .. } | Error::Stopping) => (RETRY_AFTER, WHEN_RUNS_ENDED_S.into()),
            Self::Queue(Error::Callback(_)) => return HeaderMap::new(),
            Self::Queue(_) | Self::Failed => (RETRY_AFTER, WHEN_MENDED_S.into()),
            _ => return HeaderMap::new(),
        };
        HeaderMap::from_iter([(name, value)])
    }
}
