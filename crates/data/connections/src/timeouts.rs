//! Connection timeouts: the state of a connection, updated by its transport and its requests, and
//! the pure decision whether it has timed out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The value of a time that is not set.
const NEVER: u64 = u64::MAX;

/// Timeouts of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    header_read_ms: u64,
    idle_ms: u64,
    stall_ms: u64,
}

impl Timeouts {
    /// `header_read_s`: from the opening of the connection, or the first byte of a request, to the
    /// end of its headers. `idle_s`: without a request. `stall_s`: with written bytes that the
    /// client does not read, `None` to allow any time. At least one second each, so that healthy
    /// connections survive.
    pub fn new(header_read_s: u64, idle_s: u64, stall_s: Option<u64>) -> Self {
        let ms = |seconds: u64| seconds.max(1).saturating_mul(1000);
        Self { header_read_ms: ms(header_read_s), idle_ms: ms(idle_s), stall_ms: stall_s.map_or(NEVER, ms) }
    }

    /// Interval of checks: half the shortest timeout, which bounds by how much any is exceeded.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.header_read_ms.min(self.idle_ms).min(self.stall_ms) / 2)
    }
}

/// The decision about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing.
    Keep,
    /// Idle: shut down by the protocol (GOAWAY, or close after the response in flight).
    CloseGently,
    /// Stalled: drop the connection and its requests. Holds the reason for the log.
    CloseNow(&'static str),
}

/// The state at one moment; times in milliseconds since the connection was opened.
#[derive(Debug, Clone, Copy)]
struct Snapshot {
    in_flight: u32,
    /// End of the last request.
    quiet_since_ms: u64,
    /// First byte of a request whose headers are incomplete.
    head_since_ms: u64,
    /// First write that would block.
    blocked_since_ms: u64,
}

fn decide(now_ms: u64, state: Snapshot, timeouts: Timeouts) -> Decision {
    let lasted = |since: u64, limit: u64| since != NEVER && now_ms.saturating_sub(since) >= limit;
    if lasted(state.blocked_since_ms, timeouts.stall_ms) {
        Decision::CloseNow("the client does not read")
    } else if state.in_flight > 0 {
        Decision::Keep
    } else if lasted(state.head_since_ms, timeouts.header_read_ms) {
        Decision::CloseNow("the client does not complete a request's headers")
    } else if lasted(state.quiet_since_ms, timeouts.idle_ms) {
        Decision::CloseGently
    } else {
        Decision::Keep
    }
}

/// The state of one connection, shared by its transport, its requests and its serving task.
#[derive(Debug)]
pub struct ConnectionState {
    opened: Instant,
    in_flight: AtomicU32,
    multiplexed: AtomicBool,
    /// The connection was upgraded to another protocol.
    left_http: AtomicBool,
    quiet_since_ms: AtomicU64,
    head_since_ms: AtomicU64,
    blocked_since_ms: AtomicU64,
}

impl ConnectionState {
    /// For a connection opened now: its first request's headers are due.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            in_flight: AtomicU32::new(0),
            multiplexed: AtomicBool::new(false),
            left_http: AtomicBool::new(false),
            quiet_since_ms: AtomicU64::new(NEVER),
            head_since_ms: AtomicU64::new(0),
            blocked_since_ms: AtomicU64::new(NEVER),
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// Records received bytes. Between HTTP/1 requests they begin the next request's headers;
    /// between HTTP/2 requests they may be PING frames, which do not keep a connection open.
    pub(crate) fn bytes_came(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0
            && !self.multiplexed.load(Ordering::Relaxed)
            && self.head_since_ms.load(Ordering::Relaxed) == NEVER
        {
            self.head_since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Records whether the last write would have blocked.
    pub(crate) fn write_blocked(&self, blocked: bool) {
        let marked = self.blocked_since_ms.load(Ordering::Relaxed) != NEVER;
        if blocked != marked {
            self.blocked_since_ms.store(if blocked { self.now_ms() } else { NEVER }, Ordering::Relaxed);
        }
    }

    /// Records an upgrade: requests no longer show whether the connection is idle.
    pub(crate) fn leave_http(&self) {
        self.left_http.store(true, Ordering::Relaxed);
    }

    /// Milliseconds since the last request ended; `None` while a request is in flight.
    pub(crate) fn idle_ms(&self) -> Option<u64> {
        if self.in_flight.load(Ordering::Acquire) > 0 || self.left_http.load(Ordering::Relaxed) {
            return None;
        }
        let since_ms = match self.quiet_since_ms.load(Ordering::Relaxed) {
            NEVER => 0,
            ended_ms => ended_ms,
        };
        Some(self.now_ms().saturating_sub(since_ms))
    }

    /// Begins a request, which ends when the guard is dropped.
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> RequestGuard {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.multiplexed.store(multiplexed, Ordering::Relaxed);
        self.head_since_ms.store(NEVER, Ordering::Relaxed);
        RequestGuard(self.clone())
    }

    /// Compares the state with the timeouts.
    pub(crate) fn decide(&self, timeouts: Timeouts) -> Decision {
        let state = Snapshot {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            quiet_since_ms: self.quiet_since_ms.load(Ordering::Relaxed),
            head_since_ms: self.head_since_ms.load(Ordering::Relaxed),
            blocked_since_ms: self.blocked_since_ms.load(Ordering::Relaxed),
        };
        decide(self.now_ms(), state, timeouts)
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct RequestGuard(Arc<ConnectionState>);

impl RequestGuard {
    /// Whether the last write would have blocked.
    pub fn is_write_blocked(&self) -> bool {
        self.0.blocked_since_ms.load(Ordering::Relaxed) != NEVER
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        // The time before the count: a reader that sees no request must see the new time.
        self.0.quiet_since_ms.store(self.0.now_ms(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts { header_read_ms: 10, idle_ms: 100, stall_ms: 50 };

    fn at(now_ms: u64, in_flight: u32, quiet: u64, head: u64, blocked: u64) -> Decision {
        let state = Snapshot { in_flight, quiet_since_ms: quiet, head_since_ms: head, blocked_since_ms: blocked };
        decide(now_ms, state, TIMEOUTS)
    }

    #[test]
    fn each_state_has_its_timeouts() {
        let now = |decision| matches!(decision, Decision::CloseNow(_));
        assert_eq!(at(9, 0, NEVER, 0, NEVER), Decision::Keep, "the first headers may still come");
        assert!(now(at(10, 0, NEVER, 0, NEVER)), "the first headers are late");
        assert_eq!(at(500, 1, 0, NEVER, NEVER), Decision::Keep, "a request under way may take its time");
        assert_eq!(at(149, 0, 50, NEVER, NEVER), Decision::Keep);
        assert_eq!(at(150, 0, 50, NEVER, NEVER), Decision::CloseGently, "idle for too long");
        assert!(now(at(150, 0, 50, 140, NEVER)), "the next headers are late");
        assert_eq!(at(99, 1, 0, NEVER, 50), Decision::Keep);
        assert!(now(at(100, 1, 0, NEVER, 50)), "the client does not read");
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_timeout_begins_when_a_request_ends() {
        let state = ConnectionState::new();
        let request = state.begin(false);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(state.decide(TIMEOUTS), Decision::Keep);
        drop(request);
        tokio::time::advance(Duration::from_millis(99)).await;
        assert_eq!(state.decide(TIMEOUTS), Decision::Keep);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(state.decide(TIMEOUTS), Decision::CloseGently);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_counts_from_the_last_request_or_the_opening() {
        let state = ConnectionState::new();
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(state.idle_ms(), Some(30));
        let request = state.begin(false);
        assert_eq!(state.idle_ms(), None);
        drop(request);
        tokio::time::advance(Duration::from_millis(7)).await;
        state.bytes_came();
        assert_eq!(state.idle_ms(), Some(7), "a head that is not complete is no request");
        state.leave_http();
        assert_eq!(state.idle_ms(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_between_requests_start_the_header_timeout_only_over_http1() {
        for (multiplexed, expected) in [(false, true), (true, false)] {
            let state = ConnectionState::new();
            drop(state.begin(multiplexed));
            state.bytes_came();
            tokio::time::advance(Duration::from_millis(20)).await;
            assert_eq!(matches!(state.decide(TIMEOUTS), Decision::CloseNow(_)), expected, "{multiplexed}");
        }
    }
}
