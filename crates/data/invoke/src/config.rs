//! Limits of an invocation: the `[invoke]` table of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::limits;

use crate::limit::Limit;

/// The `[invoke]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Bytes of an event; a longer one ends with 406.
    pub event_bytes_max: usize,
    /// Bytes of the answer to an event; a longer one ends with 407.
    pub event_response_bytes_max: usize,
    /// Bytes of the body of a web request; a longer one ends with 406. 0 is no limit.
    pub web_request_bytes_max: u64,
    /// Bytes of what a caller sends in one gRPC call; more end with 406. 0, the default, is no
    /// limit, because calls stream through and are held nowhere.
    pub grpc_request_bytes_max: u64,
    /// Bytes of the body of a web answer; a longer one is cut off and ends with 407. 0, the
    /// default, is no limit, because answers stream through and are held nowhere.
    pub web_response_bytes_max: u64,
    /// Bytes of the names and values of the headers of an instance's answer; more end with 407. The
    /// contract's 4 KB refuse what servers really send (five cookies, a content security policy)
    /// and are departed from.
    pub web_response_headers_bytes_max: usize,
    /// Header lines of an instance's answer; more end with 407.
    pub web_response_headers_max: usize,
    /// Interim answers (1xx) before an instance's answer; more end with 430.
    pub interim_responses_max: u32,
    /// Bytes of their headers in sum; more end with 430.
    pub interim_responses_bytes_max: usize,
    /// Frames of an instance's HTTP/2 connection that carry nothing (PING, SETTINGS, WINDOW_UPDATE,
    /// RST_STREAM, empty DATA, interim answers, unknown ones), at once; each message earns more. A
    /// connection with more is closed.
    pub h2_control_frames_max: u32,
    /// The same in each second, on and on.
    pub h2_control_frames_per_s_max: u32,
    /// Bytes of a frame of a WebSocket connection that a caller sends; a longer one closes it. 0 is
    /// no limit.
    pub websocket_frame_bytes_max: u64,
    /// The same of a frame that the function sends. 0, the default, is no limit, because frames
    /// stream through and are held nowhere.
    pub websocket_response_frame_bytes_max: u64,
    /// Bytes of the answer of a server that refuses a WebSocket connection; a longer one ends with
    /// 407.
    pub websocket_refusal_bytes_max: usize,
    /// Frames that are taken from a caller's WebSocket connection in a second; more wait. 0, the
    /// default, is any number.
    pub websocket_frames_per_s_max: u32,
    /// The same in bytes.
    pub websocket_bytes_per_s_max: u64,
    /// Longest wait for the other side when one has closed a WebSocket connection, in milliseconds.
    pub websocket_close_wait_ms_max: u64,
    /// Longest time of one attempt to connect to an instance's server, in milliseconds. A server
    /// whose queue of connections is full lets attempts wait; they are repeated for as long as the
    /// function may run.
    pub connect_ms_max: u64,
    /// How long a request over a new connection waits for its answer before the idle connections of
    /// its instance are closed, in milliseconds: its server may serve one at a time. Again after
    /// each such time.
    pub unanswered_wait_ms: u64,
    /// How long a connection to an instance's server is kept unused for the next request, in
    /// milliseconds; servers close theirs after some seconds. None is kept while the instance is
    /// frozen. 0 keeps none.
    pub kept_connection_ms_max: u64,
    /// After a connection broke: longest wait to learn whether the instance has ended, in
    /// milliseconds.
    pub exit_wait_ms_max: u64,
    /// How often a request whose version was replaced before it got an instance is tried with the
    /// newest one.
    pub superseded_retries_max: u32,
    /// Bytes of an answer that are kept in the log's `Response` line and in the record of the
    /// invocation.
    pub log_ret_msg_bytes_max: usize,
    /// How long the result of an event is kept whose caller had stopped waiting, in seconds. 0
    /// keeps none.
    pub result_retention_s: u64,
    /// Bytes of all these results together; the oldest go first.
    pub results_bytes_max: u64,
    /// How many results are kept; the oldest go first.
    pub results_max: usize,
    /// Bytes of an image's own error text that are repeated in an error message.
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
