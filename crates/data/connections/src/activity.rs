//! What a connection is doing and since when, and what follows from it. The marks are set by the transport and the
//! service; the decision is pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// No mark: a time that is never reached.
const NEVER: u64 = u64::MAX;

/// How long a connection may be in each state.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    header_read_ms: u64,
    idle_ms: u64,
    stall_ms: u64,
}

impl Timeouts {
    /// From a request's first byte, or the connection's opening, to the end of its headers; without a request; and with
    /// bytes that the client does not take, where that is watched. In seconds, of which less than one would close healthy
    /// connections.
    pub fn new(header_read_s: u64, idle_s: u64, stall_s: Option<u64>) -> Self {
        let ms = |seconds: u64| seconds.max(1).saturating_mul(1000);
        Self { header_read_ms: ms(header_read_s), idle_ms: ms(idle_s), stall_ms: stall_s.map_or(NEVER, ms) }
    }

    /// How often to look at a connection: half the shortest time, so that none is exceeded by more than that.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.header_read_ms.min(self.idle_ms).min(self.stall_ms) / 2)
    }
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Keep,
    /// It waits for a request that may never come: say goodbye as the protocol does.
    CloseGently,
    /// The client does not do its part: drop the connection and what runs on it.
    CloseNow(&'static str),
}

/// A connection's state at one moment; times in milliseconds since it was opened.
#[derive(Debug, Clone, Copy)]
struct Snapshot {
    in_flight: u32,
    /// The end of the last request.
    quiet_since_ms: u64,
    /// The first byte of a request whose headers are not complete.
    head_since_ms: u64,
    /// The first write that the client did not take.
    blocked_since_ms: u64,
}

fn decide(now_ms: u64, state: Snapshot, timeouts: Timeouts) -> Verdict {
    let lasted = |since: u64, limit: u64| since != NEVER && now_ms.saturating_sub(since) >= limit;
    if lasted(state.blocked_since_ms, timeouts.stall_ms) {
        Verdict::CloseNow("the client does not read")
    } else if state.in_flight > 0 {
        Verdict::Keep
    } else if lasted(state.head_since_ms, timeouts.header_read_ms) {
        Verdict::CloseNow("the client does not complete a request's headers")
    } else if lasted(state.quiet_since_ms, timeouts.idle_ms) {
        Verdict::CloseGently
    } else {
        Verdict::Keep
    }
}

/// The marks of one connection, shared by its transport, its requests and the task that watches it.
#[derive(Debug)]
pub struct Activity {
    opened: Instant,
    in_flight: AtomicU32,
    multiplexed: AtomicBool,
    /// It became something else than HTTP.
    left_http: AtomicBool,
    quiet_since_ms: AtomicU64,
    head_since_ms: AtomicU64,
    blocked_since_ms: AtomicU64,
}

impl Activity {
    /// Of a connection opened now: its first request's headers are due.
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

    /// Marks that bytes came. Between requests of HTTP/1 they begin the next one's headers; over HTTP/2 they may be mere
    /// pings, which keep no connection open.
    pub(crate) fn bytes_came(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0
            && !self.multiplexed.load(Ordering::Relaxed)
            && self.head_since_ms.load(Ordering::Relaxed) == NEVER
        {
            self.head_since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Marks whether the client took what was written.
    pub(crate) fn write_blocked(&self, blocked: bool) {
        let marked = self.blocked_since_ms.load(Ordering::Relaxed) != NEVER;
        if blocked != marked {
            self.blocked_since_ms.store(if blocked { self.now_ms() } else { NEVER }, Ordering::Relaxed);
        }
    }

    /// Marks that requests no longer tell what it does.
    pub(crate) fn leave_http(&self) {
        self.left_http.store(true, Ordering::Relaxed);
    }

    /// For how long it has had no request, in milliseconds; nothing while it has one.
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

    /// Begins a request; it lasts until the turn is dropped.
    pub fn begin(self: &Arc<Self>, multiplexed: bool) -> Turn {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.multiplexed.store(multiplexed, Ordering::Relaxed);
        self.head_since_ms.store(NEVER, Ordering::Relaxed);
        Turn(self.clone())
    }

    /// What to do with the connection now.
    pub(crate) fn verdict(&self, timeouts: Timeouts) -> Verdict {
        let state = Snapshot {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            quiet_since_ms: self.quiet_since_ms.load(Ordering::Relaxed),
            head_since_ms: self.head_since_ms.load(Ordering::Relaxed),
            blocked_since_ms: self.blocked_since_ms.load(Ordering::Relaxed),
        };
        decide(self.now_ms(), state, timeouts)
    }
}

/// A request under way.
#[derive(Debug)]
pub struct Turn(Arc<Activity>);

impl Turn {
    /// Whether the client has not taken what was written last.
    pub fn is_write_blocked(&self) -> bool {
        self.0.blocked_since_ms.load(Ordering::Relaxed) != NEVER
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // The time first: whoever sees no request under way must not see an old time with it.
        self.0.quiet_since_ms.store(self.0.now_ms(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts { header_read_ms: 10, idle_ms: 100, stall_ms: 50 };

    fn at(now_ms: u64, in_flight: u32, quiet: u64, head: u64, blocked: u64) -> Verdict {
        let state = Snapshot { in_flight, quiet_since_ms: quiet, head_since_ms: head, blocked_since_ms: blocked };
        decide(now_ms, state, TIMEOUTS)
    }

    #[test]
    fn each_state_has_its_timeouts() {
        let now = |verdict| matches!(verdict, Verdict::CloseNow(_));
        assert_eq!(at(9, 0, NEVER, 0, NEVER), Verdict::Keep, "the first headers may still come");
        assert!(now(at(10, 0, NEVER, 0, NEVER)), "the first headers are late");
        assert_eq!(at(500, 1, 0, NEVER, NEVER), Verdict::Keep, "a request under way may take its time");
        assert_eq!(at(149, 0, 50, NEVER, NEVER), Verdict::Keep);
        assert_eq!(at(150, 0, 50, NEVER, NEVER), Verdict::CloseGently, "idle for too long");
        assert!(now(at(150, 0, 50, 140, NEVER)), "the next headers are late");
        assert_eq!(at(99, 1, 0, NEVER, 50), Verdict::Keep);
        assert!(now(at(100, 1, 0, NEVER, 50)), "the client does not read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_ends_the_wait_for_headers_and_begins_the_idle_time() {
        let activity = Activity::new();
        let turn = activity.begin(false);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(activity.verdict(TIMEOUTS), Verdict::Keep);
        drop(turn);
        tokio::time::advance(Duration::from_millis(99)).await;
        assert_eq!(activity.verdict(TIMEOUTS), Verdict::Keep);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(activity.verdict(TIMEOUTS), Verdict::CloseGently);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_since_its_last_request_or_its_opening() {
        let activity = Activity::new();
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!(activity.idle_ms(), Some(30));
        let turn = activity.begin(false);
        assert_eq!(activity.idle_ms(), None);
        drop(turn);
        tokio::time::advance(Duration::from_millis(7)).await;
        activity.bytes_came();
        assert_eq!(activity.idle_ms(), Some(7), "a head that is not complete is no request");
        activity.leave_http();
        assert_eq!(activity.idle_ms(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_between_requests_are_headers_only_where_requests_follow_each_other() {
        for (multiplexed, expected) in [(false, true), (true, false)] {
            let activity = Activity::new();
            drop(activity.begin(multiplexed));
            activity.bytes_came();
            tokio::time::advance(Duration::from_millis(20)).await;
            assert_eq!(matches!(activity.verdict(TIMEOUTS), Verdict::CloseNow(_)), expected, "{multiplexed}");
        }
    }
}
