//! Why the events of a request to a trigger are refused.

use formats::hook::Rejection;
use http::StatusCode;
use types::RunStatus;

/// Why the events of a request to a trigger are refused.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A method other than POST.
    #[error("triggers take events by POST")]
    Method,
    /// No such trigger.
    #[error("the function has no trigger {0:?} that can be called; `sampan trigger list` shows what there is")]
    NotFound(String),
    /// Several triggers have that name.
    #[error(
        "the function has several triggers {0:?}; name the version or alias: \
         /hooks/<namespace>/<function>:<qualifier>/<trigger>"
    )]
    Ambiguous(String),
    /// It is disabled.
    #[error("the trigger is closed; send the event again when it is open")]
    Closed,
    /// It polls, and takes no requests.
    #[error("the trigger looks at its bucket itself and takes no notifications")]
    Polled,
    /// Its stored definition cannot be parsed.
    #[error("the trigger cannot be read; update it")]
    Unreadable,
    /// The request was rejected.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Its function's protocol has no events.
    #[error("functions of protocol WS or gRPC take no events")]
    Protocol,
    /// Its rate limit is exceeded.
    #[error(
        "more than {max} events in a minute (rate_per_minute of the trigger, or setting \
         triggers.rate_per_minute_max); try again"
    )]
    Rate {
        /// The bound.
        max: u32,
        /// Seconds until the limit allows another event.
        wait_s: u64,
    },
    /// A subscription at a host that is not allowed.
    #[error("the subscription is not confirmed: its host is not in the setting gateway.hook_confirm_hosts")]
    ConfirmHost,
    /// A subscription that cannot be confirmed.
    #[error("the subscription cannot be confirmed; the platform's log has the cause")]
    Confirm,
    /// A message of SNS without a signature.
    #[error("the message of SNS has no signature of version 1 or 2; the setting gateway.sns_unsigned takes such ones")]
    Unsigned,
    /// A certificate at a host that is not allowed.
    #[error(
        "the signature of the message is not checked: SigningCertURL is no https URL of a .pem file at a host of the \
         setting gateway.hook_confirm_hosts; the setting gateway.sns_unsigned takes such messages"
    )]
    CertificateHost,
    /// A certificate that cannot be fetched.
    #[error("the certificate of the message's signature cannot be fetched; the platform's log has the cause")]
    Certificate,
    /// An invalid signature.
    #[error("the signature of the message is wrong: SNS did not send it so")]
    Signature,
}

impl HookError {
    /// The HTTP status, and the status of the refused run.
    pub fn status(&self) -> (StatusCode, RunStatus) {
        match self {
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, RunStatus::InvalidParameterValue),
            Self::NotFound(_) | Self::Ambiguous(_) => (StatusCode::NOT_FOUND, RunStatus::FunctionNotFound),
            Self::Closed | Self::Unreadable => (StatusCode::SERVICE_UNAVAILABLE, RunStatus::FunctionStatusError),
            Self::Polled | Self::Protocol => (StatusCode::BAD_REQUEST, RunStatus::InvalidParameterValue),
            Self::Rejected(rejection) => match rejection.status() {
                StatusCode::UNAUTHORIZED => (StatusCode::UNAUTHORIZED, RunStatus::UnauthorizedOperation),
                status => (status, RunStatus::InvalidEvent),
            },
            Self::Rate { .. } => (StatusCode::TOO_MANY_REQUESTS, RunStatus::ResourceLimit),
            Self::ConfirmHost | Self::Unsigned | Self::CertificateHost | Self::Signature => {
                (StatusCode::FORBIDDEN, RunStatus::UnauthorizedOperation)
            }
            Self::Confirm | Self::Certificate => (StatusCode::BAD_GATEWAY, RunStatus::InternalError),
        }
    }
}
