//! Limits of an invocation: the `[invoke]` table of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::limits;

use crate::limit::Limit;

/// The `[invoke]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest event, in bytes; a longer one fails with 406.
    pub event_bytes_max: usize,
    /// Longest response to an event, in bytes; a longer one fails with 407.
    pub event_response_bytes_max: usize,
    /// Longest body of a web request, in bytes; a longer one fails with 406. 0 is no limit.
    pub web_request_bytes_max: u64,
    /// Bytes that a caller may send in one gRPC call; more fail with 406. 0, the default, is no
    /// limit, because calls are streamed, not buffered.
    pub grpc_request_bytes_max: u64,
    /// Longest body of a web response, in bytes; a longer one is cut off and fails with 407. 0, the
    /// default, is no limit, because responses are streamed, not buffered.
    pub web_response_bytes_max: u64,
    /// Size of the names and values of the headers of an instance's response, in bytes; more fail
    /// with 407. The contract's 4 KB would refuse common responses (five cookies, a content
    /// security policy), so the default departs from it.
    pub web_response_headers_bytes_max: usize,
    /// Header lines of an instance's response; more fail with 407.
    pub web_response_headers_max: usize,
    /// Interim responses (1xx) before an instance's response; more fail with 430.
    pub interim_responses_max: u32,
    /// Sum of the bytes of their headers; more fail with 430.
    pub interim_responses_bytes_max: usize,
    /// Burst of frames without content (PING, SETTINGS, WINDOW_UPDATE, RST_STREAM, empty DATA,
    /// interim responses, unknown ones) on an instance's HTTP/2 connection; each message allows
    /// more. A connection that exceeds it is closed.
    pub h2_control_frames_max: u32,
    /// The sustained rate of such frames, per second.
    pub h2_control_frames_per_s_max: u32,
    /// Longest frame that a caller may send on a WebSocket connection, in bytes; a longer one
    /// closes it. 0 is no limit.
    pub websocket_frame_bytes_max: u64,
    /// Longest frame that the function may send, in bytes. 0, the default, is no limit, because
    /// frames are streamed, not buffered.
    pub websocket_response_frame_bytes_max: u64,
    /// Longest response of a server that refuses a WebSocket connection, in bytes; a longer one
    /// fails with 407.
    pub websocket_refusal_bytes_max: usize,
    /// Frames that are read from a caller's WebSocket connection per second; more wait. 0, the
    /// default, is no limit.
    pub websocket_frames_per_s_max: u32,
    /// Bytes that are read from it per second; more wait. 0, the default, is no limit.
    pub websocket_bytes_per_s_max: u64,
    /// Longest wait for the other side's close frame when one side has closed a WebSocket
    /// connection, in milliseconds.
    pub websocket_close_wait_ms_max: u64,
    /// Longest time of one attempt to connect to an instance's server, in milliseconds. A server
    /// whose accept queue is full leaves attempts unanswered; they are repeated until the
    /// function's time-out.
    pub connect_ms_max: u64,
    /// How long a request over a new connection waits for its response before the idle connections
    /// of its instance are closed, in milliseconds: its server may serve one at a time. Repeated
    /// after each such time.
    pub unanswered_wait_ms: u64,
    /// How long an idle connection to an instance's server is kept for the next request, in
    /// milliseconds; servers close theirs after some seconds. None is kept while the instance is
    /// frozen. 0 keeps none.
    pub kept_connection_ms_max: u64,
    /// Longest wait for the end of the instance after a connection broke, in milliseconds.
    pub exit_wait_ms_max: u64,
    /// How often a request whose version was replaced before it got an instance is retried with the
    /// newest one.
    pub superseded_retries_max: u32,
    /// Bytes of a response that are kept in the log's `Response` line and in the record of the
    /// invocation.
    pub log_ret_msg_bytes_max: usize,
    /// How long the result of an event whose caller no longer waits is kept, in seconds. 0 keeps
    /// none.
    pub result_retention_s: u64,
    /// Bytes of all these results together; the oldest are removed first.
    pub results_bytes_max: u64,
    /// Number of kept results; the oldest are removed first.
    pub results_max: usize,
    /// Bytes of an image's own error text that are quoted in an error message.
    pub error_message_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            event_bytes_max: limits::SYNC_EVENT_BYTES_MAX,
            event_response_bytes_max: limits::RESPONSE_BYTES_MAX,
            web_request_bytes_max: limits::SYNC_EVENT_BYTES_MAX as u64,
            grpc_request_bytes_max: 0,
            web_response_bytes_max: 0,
            web_response_headers_bytes_max: 64 * 1024,
            web_response_headers_max: 500,
            interim_responses_max: 16,
            interim_responses_bytes_max: 64 * 1024,
            h2_control_frames_max: 2_000,
            h2_control_frames_per_s_max: 500,
            websocket_frame_bytes_max: 256 * 1024,
            websocket_response_frame_bytes_max: 0,
            websocket_refusal_bytes_max: 64 * 1024,
            websocket_frames_per_s_max: 0,
            websocket_bytes_per_s_max: 0,
            websocket_close_wait_ms_max: 2000,
            connect_ms_max: 250,
            unanswered_wait_ms: 50,
            kept_connection_ms_max: 1000,
            exit_wait_ms_max: 500,
            superseded_retries_max: 3,
            log_ret_msg_bytes_max: 4096,
            result_retention_s: 3600,
            results_bytes_max: 256 << 20,
            results_max: 1000,
            error_message_bytes_max: 4096,
        }
    }
}

impl Config {
    pub(crate) fn web_response_limit(&self) -> Limit {
        Limit::new("invoke.web_response_bytes_max", self.web_response_bytes_max)
    }

    pub(crate) fn unanswered_wait(&self) -> Duration {
        Duration::from_millis(self.unanswered_wait_ms.max(1))
    }

    pub(crate) fn connect_max(&self) -> Duration {
        Duration::from_millis(self.connect_ms_max.max(1))
    }

    pub(crate) fn kept_connection_max(&self) -> Duration {
        Duration::from_millis(self.kept_connection_ms_max)
    }

    pub(crate) fn websocket_close_wait_max(&self) -> Duration {
        Duration::from_millis(self.websocket_close_wait_ms_max)
    }

    pub(crate) fn exit_wait_max(&self) -> Duration {
        Duration::from_millis(self.exit_wait_ms_max)
    }
}
