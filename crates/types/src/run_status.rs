//! Status codes of invocations (contract 4.5): outcomes for callers and logs.

use serde::{Deserialize, Serialize};

/// Outcome of an invocation. The number is `statusCode` in answers and `SCF_StatusCode` in logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
#[repr(u16)]
#[allow(missing_docs)] // The names are the contract's; `meaning` documents them.
pub enum RunStatus {
    Success = 200,
    InvalidEvent = 400,
    InvalidResponseFormat = 403,
    ContainerStateExited = 405,
    RequestTooLarge = 406,
    ResponseTooLarge = 407,
    ResourceLimit = 429,
    UserCodeException = 430,
    ResourceLimitReached = 432,
    TimeLimitReached = 433,
    MemoryLimitReached = 434,
    FunctionNotFound = 435,
    InvalidParameterValue = 436,
    FunctionStatusError = 438,
    UserProcessExited = 439,
    UnauthorizedOperation = 441,
    QualifierNotFound = 442,
    UserCodeError = 443,
    PullImageFailed = 444,
    ContainerInitError = 445,
    PortBindingFailed = 446,
    PullImageTimeOut = 447,
    InsufficientResources = 449,
    InitContainerTimeout = 450,
    WebSocketIdleTimeout = 455,
    WebSocketClientClosed = 456,
    RequestCanceled = 499,
    InternalError = 500,
}

impl RunStatus {
    /// All statuses.
    pub const ALL: &'static [RunStatus] = &[
        Self::Success,
        Self::InvalidEvent,
        Self::InvalidResponseFormat,
        Self::ContainerStateExited,
        Self::RequestTooLarge,
        Self::ResponseTooLarge,
        Self::ResourceLimit,
        Self::UserCodeException,
        Self::ResourceLimitReached,
        Self::TimeLimitReached,
        Self::MemoryLimitReached,
        Self::FunctionNotFound,
        Self::InvalidParameterValue,
        Self::FunctionStatusError,
        Self::UserProcessExited,
        Self::UnauthorizedOperation,
        Self::QualifierNotFound,
        Self::UserCodeError,
        Self::PullImageFailed,
        Self::ContainerInitError,
        Self::PortBindingFailed,
        Self::PullImageTimeOut,
        Self::InsufficientResources,
        Self::InitContainerTimeout,
        Self::WebSocketIdleTimeout,
        Self::WebSocketClientClosed,
        Self::RequestCanceled,
        Self::InternalError,
    ];

    /// The contract's number.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::InvalidEvent => "InvalidParameterValue",
            Self::InvalidResponseFormat => "Invalid scf response format",
            Self::ContainerStateExited => "ContainerStateExited",
            Self::RequestTooLarge => "RequestTooLarge",
            Self::ResponseTooLarge => "ResponseTooLarge",
            Self::ResourceLimit => "ResourceLimit",
            Self::UserCodeException => "User code exception caught",
            Self::ResourceLimitReached => "ResourceLimitReached",
            Self::TimeLimitReached => "TimeLimitReached",
            Self::MemoryLimitReached => "MemoryLimitReached",
            Self::FunctionNotFound => "FunctionNotFound",
            Self::InvalidParameterValue => "InvalidParameterValue",
            Self::FunctionStatusError => "FunctionStatusError",
            Self::UserProcessExited => "User process exit when running",
            Self::UnauthorizedOperation => "UnauthorizedOperation",
            Self::QualifierNotFound => "QualifierNotFound",
            Self::UserCodeError => "UserCodeError",
            Self::PullImageFailed => "PullImageFailed",
            Self::ContainerInitError => "ContainerInitError",
            Self::PortBindingFailed => "PortBindingFailed",
            Self::PullImageTimeOut => "PullImageTimeOut",
            Self::InsufficientResources => "InsufficientResources",
            Self::InitContainerTimeout => "InitContainerTimeout",
            Self::WebSocketIdleTimeout => "WebSocketIdleTimeout",
            Self::WebSocketClientClosed => "WebSocketClientClosed",
            Self::RequestCanceled => "RequestCanceled",
            Self::InternalError => "InternalError",
        }
    }

    /// Reason phrase for an HTTP status that HTTP does not define: the contract's name, or that of
    /// its class.
    pub fn reason_phrase(code: u16) -> &'static str {
        match (Self::try_from(code), code / 100) {
            (Ok(status), _) => status.name(),
            (Err(_), 1) => "Informational",
            (Err(_), 2) => "Successful",
            (Err(_), 3) => "Redirection",
            (Err(_), 4) => "Client Error",
            (Err(_), 5) => "Server Error",
            (Err(_), _) => "Unassigned",
        }
    }

    /// Whether the run was not admitted, so that no code ran.
    pub fn is_over_quota(self) -> bool {
        matches!(self, Self::ResourceLimit | Self::ResourceLimitReached | Self::InsufficientResources)
    }

    /// Whether the run succeeded.
    pub fn is_success(self) -> bool {
        self == Self::Success
    }
}

impl From<RunStatus> for u16 {
    fn from(status: RunStatus) -> u16 {
        status.code()
    }
}

/// A number that is not a status code of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no status code of a run")]
pub struct UnknownRunStatus(pub u16);

impl TryFrom<u16> for RunStatus {
    type Error = UnknownRunStatus;
    fn try_from(code: u16) -> Result<Self, UnknownRunStatus> {
        Self::ALL.iter().copied().find(|s| s.code() == code).ok_or(UnknownRunStatus(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_back_and_forth() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::try_from(status.code()), Ok(*status));
        }
        assert_eq!(RunStatus::try_from(201), Err(UnknownRunStatus(201)));
    }

    #[test]
    fn every_code_has_a_reason_phrase_that_a_status_line_can_carry() {
        for code in 100..1000 {
            let phrase = RunStatus::reason_phrase(code);
            assert!(!phrase.is_empty() && phrase.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{code} {phrase}");
        }
        assert_eq!(RunStatus::reason_phrase(433), "TimeLimitReached");
        assert_eq!(RunStatus::reason_phrase(599), "Server Error");
    }
}
