//! The cause of a WebSocket connection's end, and the outcome of its invocation (contract 4.12).
//! Pure.

use types::RunStatus;

use super::frames::Violation;
use crate::failure::Failure;
use crate::invocation::Ending;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Caller,
    Server,
}

impl Side {
    pub fn other(self) -> Self {
        match self {
            Self::Caller => Self::Server,
            Self::Server => Self::Caller,
        }
    }
}

/// The cause of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseCause {
    /// This side closed it first, with this code if it sent one.
    Closed(Side, Option<u16>),
    /// This side disconnected without a close frame.
    Gone(Side),
    /// This side violated the protocol or a limit.
    Violated(Side, Violation),
    /// Neither side sent anything for too long.
    Idle,
    /// The connection exceeded the function's time-out.
    TimedOut,
    /// The platform is shutting down.
    Leaving,
}

/// Close codes of a success: normal, an extension that a client missed, an error that a server
/// reports. Browsers send no code when a page gives none.
const SUCCESS: [u16; 3] = [1000, 1010, 1011];
/// A page is left, or a server stops.
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const TOO_BIG: u16 = 1009;

/// The setting of the limit that was exceeded.
fn setting(violation: Violation, name: &str) -> String {
    match violation {
        Violation::TooLong { .. } => format!(" (invoke.{name})"),
        Violation::Control => String::new(),
    }
}

impl CloseCause {
    /// The close code that the platform sends to both sides, where neither closed the connection.
    pub fn code(self) -> Option<u16> {
        match self {
            Self::Closed(..) | Self::Gone(_) => None,
            Self::Violated(_, Violation::TooLong { .. }) => Some(TOO_BIG),
            Self::Violated(_, Violation::Control) => Some(PROTOCOL_ERROR),
            Self::Idle | Self::TimedOut | Self::Leaving => Some(GOING_AWAY),
        }
    }

    /// The reason as text.
    pub fn reason(self, idle_s: u64, timeout_s: u32) -> String {
        match self {
            Self::Closed(Side::Server, code) => format!("the function's server closed the connection{}", with(code)),
            Self::Closed(Side::Caller, code) => format!("the caller closed the connection{}", with(code)),
            Self::Gone(Side::Server) => "the function's server ended the connection without closing it".to_owned(),
            Self::Gone(Side::Caller) => "the caller went away without closing the connection".to_owned(),
            Self::Violated(Side::Server, violation) => {
                format!(
                    "from the function's server: {violation}{}",
                    setting(violation, "websocket_response_frame_bytes_max")
                )
            }
            Self::Violated(Side::Caller, violation) => {
                format!("from the caller: {violation}{}", setting(violation, "websocket_frame_bytes_max"))
            }
            Self::Idle => format!("nothing was sent for {idle_s} s (IdleTimeOut)"),
            Self::TimedOut => format!("the connection lasted for {timeout_s} s (Timeout)"),
            Self::Leaving => "the platform is shutting down; connect again".to_owned(),
        }
    }

    /// The outcome of the invocation.
    pub fn ending(self, idle_s: u64, timeout_s: u32) -> Ending {
        let status = match self {
            Self::Closed(_, None) => return Ending::Success,
            Self::Closed(_, Some(code)) if SUCCESS.contains(&code) => return Ending::Success,
            // The reason is determined from the instance.
            Self::Gone(Side::Server) => return Ending::Broken(self.reason(idle_s, timeout_s)),
            Self::TimedOut => return Ending::Failed(Failure::timed_out(timeout_s)),
            Self::Closed(Side::Server, _) | Self::Violated(Side::Server, _) => RunStatus::UserProcessExited,
            Self::Closed(Side::Caller, _) | Self::Violated(Side::Caller, _) | Self::Gone(Side::Caller) => {
                RunStatus::WebSocketClientClosed
            }
            Self::Idle => RunStatus::WebSocketIdleTimeout,
            Self::Leaving => RunStatus::RequestCanceled,
        };
        Ending::Failed(Failure::of_connection(status, self.reason(idle_s, timeout_s)))
    }
}

fn with(code: Option<u16>) -> String {
    code.map_or_else(String::new, |code| format!(" with code {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(over: CloseCause) -> Option<u16> {
        match over.ending(15, 3) {
            Ending::Success => Some(200),
            Ending::Failed(failure) => Some(failure.status.code()),
            Ending::Broken(_) | Ending::Canceled(_) | Ending::Abandoned => None,
        }
    }

    #[test]
    fn codes_become_the_statuses_of_the_contract() {
        for side in [Side::Caller, Side::Server] {
            for code in [None, Some(1000), Some(1010), Some(1011)] {
                assert_eq!(status(CloseCause::Closed(side, code)), Some(200));
            }
        }
        assert_eq!(status(CloseCause::Closed(Side::Server, Some(1001))), Some(439));
        assert_eq!(status(CloseCause::Closed(Side::Caller, Some(4000))), Some(456));
        assert_eq!(status(CloseCause::Gone(Side::Caller)), Some(456));
        assert_eq!(status(CloseCause::Gone(Side::Server)), None, "the cause is found at the instance");
        assert_eq!(
            [CloseCause::Idle, CloseCause::TimedOut, CloseCause::Leaving].map(status),
            [Some(455), Some(433), Some(499)]
        );
        assert_eq!(status(CloseCause::Violated(Side::Caller, Violation::Control)), Some(456));
        assert_eq!(status(CloseCause::Violated(Side::Server, Violation::Control)), Some(439));
    }
}
