//! Relays the bytes of a WebSocket connection in both directions until one side closes it or a
//! limit is reached, and then closes both sides.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::close::{CloseCause, Side};
use super::frames::{self, Frames};
use super::rate_limit::RateLimit;

/// Bytes that are relayed at once.
const BUFFER_BYTES: usize = 16 * 1024;

/// Limits of a connection.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub deadline: Instant,
    pub idle_s: u64,
    pub timeout_s: u32,
    /// Longest frame from the caller.
    pub frame_bytes_max: u64,
    /// Longest frame from the function's server.
    pub response_frame_bytes_max: u64,
    pub frames_per_s_max: u32,
    pub bytes_per_s_max: u64,
    pub close_wait_max: Duration,
    pub leaving: CancellationToken,
}

/// When either side last sent data.
struct LastActivity {
    begun: Instant,
    last_ms: AtomicU64,
}

impl LastActivity {
    fn now(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    async fn none_for(&self, idle: Duration) {
        loop {
            let last = self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            if last.elapsed() >= idle {
                return;
            }
            sleep_until(last + idle).await;
        }
    }
}

/// One direction.
struct Flow<R, W> {
    from: ReadHalf<R>,
    to: WriteHalf<W>,
    side: Side,
    frames: Frames,
    rate: RateLimit,
    /// In the middle of a write: the other end has not received everything that `frames` followed.
    writing: AtomicBool,
}

impl<R: AsyncRead, W: AsyncWrite> Flow<R, W> {
    /// Relays bytes until this side has closed the connection, disconnected, or violated a rule.
    async fn run(&mut self, activity: &LastActivity) -> CloseCause {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = match self.from.read(&mut buffer).await {
                Ok(0) | Err(_) => return CloseCause::Gone(self.side),
                Ok(read) => read,
            };
            let mut rest = &buffer[..read];
            while !rest.is_empty() {
                self.rate.wait().await;
                let seen = match self.frames.follow(rest, self.rate.frames_at_once()) {
                    Ok(seen) => seen,
                    Err(violation) => return CloseCause::Violated(self.side, violation),
                };
                // The bytes of a long frame count as activity.
                activity.now();
                self.rate.spend(seen.frames, seen.bytes as u64);
                let (now, later) = rest.split_at(seen.bytes);
                *self.writing.get_mut() = true;
                if self.to.write_all(now).await.is_err() || self.to.flush().await.is_err() {
                    return CloseCause::Gone(self.side.other());
                }
                *self.writing.get_mut() = false;
                if let Some(code) = seen.closed {
                    return CloseCause::Closed(self.side, code);
                }
                rest = later;
            }
        }
    }

    /// Sends the other end a close frame, where one fits, and ends this direction.
    async fn close(&mut self, code: Option<u16>, reason: &str) {
        if let Some(code) = code
            && self.frames.at_boundary()
            && !*self.writing.get_mut()
        {
            // The server is at the other end of what the caller sends.
            let frame = frames::close(code, reason, self.side == Side::Caller);
            self.to.write_all(&frame).await.ok();
        }
        self.to.shutdown().await.ok();
        if code.is_some() {
            // Unread data would reset this side's connection, which would lose the close frame.
            let mut unread = vec![0; BUFFER_BYTES];
            while self.from.read(&mut unread).await.is_ok_and(|read| read > 0) {}
        }
    }
}

/// Relays a connection until its end.
pub(super) async fn relay<C, S>(caller: C, server: S, limits: &Limits) -> CloseCause
where
    C: AsyncRead + AsyncWrite,
    S: AsyncRead + AsyncWrite,
{
    let activity = LastActivity { begun: Instant::now(), last_ms: AtomicU64::new(0) };
    let ((from_caller, to_caller), (from_server, to_server)) = (split(caller), split(server));
    let rate = RateLimit::new(limits.frames_per_s_max, limits.bytes_per_s_max);
    let writing = || AtomicBool::new(false);
    let frames = Frames::new(limits.frame_bytes_max);
    let mut up = Flow { from: from_caller, to: to_server, side: Side::Caller, frames, rate, writing: writing() };
    let rate = RateLimit::unlimited();
    let frames = Frames::new(limits.response_frame_bytes_max);
    let mut down = Flow { from: from_server, to: to_caller, side: Side::Server, frames, rate, writing: writing() };
    let over = {
        let (mut upward, mut downward) = (std::pin::pin!(up.run(&activity)), std::pin::pin!(down.run(&activity)));
        // A side that sends without a pause must not keep the timers from being polled.
        let over = tokio::task::unconstrained(sleep_until(limits.deadline));
        tokio::select! {
            biased;
            () = limits.leaving.cancelled() => CloseCause::Leaving,
            () = over => CloseCause::TimedOut,
            over = &mut upward => close_handshake(over, downward, limits.close_wait_max).await,
            over = &mut downward => close_handshake(over, upward, limits.close_wait_max).await,
            () = activity.none_for(Duration::from_secs(limits.idle_s)) => CloseCause::Idle,
        }
    };
    let (code, reason) = (over.code(), over.reason(limits.idle_s, limits.timeout_s));
    let closing = async { tokio::join!(up.close(code, &reason), down.close(code, &reason)) };
    // An end that reads nothing more is dropped.
    drop(timeout(limits.close_wait_max, closing).await);
    over
}

/// A side that closed the connection waits for the other's close frame; the one that closed it
/// first counts.
async fn close_handshake(
    first: CloseCause,
    other: impl Future<Output = CloseCause>,
    close_wait_max: Duration,
) -> CloseCause {
    if matches!(first, CloseCause::Closed(..)) {
        drop(timeout(close_wait_max, other).await);
    }
    first
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    fn limits() -> Limits {
        Limits {
            deadline: Instant::now() + Duration::from_secs(100),
            idle_s: 15,
            timeout_s: 100,
            frame_bytes_max: 1000,
            response_frame_bytes_max: 1000,
            frames_per_s_max: 0,
            bytes_per_s_max: 0,
            close_wait_max: Duration::from_secs(2),
            leaving: CancellationToken::new(),
        }
    }

    /// A frame of text as a server sends it.
    fn text(payload: &str) -> Vec<u8> {
        [&[0x81, u8::try_from(payload.len()).expect("short")], payload.as_bytes()].concat()
    }

    async fn read(from: &mut (impl AsyncRead + Unpin), len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        from.read_exact(&mut bytes).await.expect("as many");
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn frames_pass_both_ways_and_the_first_to_close_counts() {
        let ((mut caller, a), (b, mut server)) = (duplex(4096), duplex(4096));
        let limits = limits();
        let ends = async {
            caller.write_all(&text("up")).await.expect("taken");
            assert_eq!(read(&mut server, 4).await, text("up"));
            server.write_all(&text("down")).await.expect("taken");
            assert_eq!(read(&mut caller, 6).await, text("down"));
            let goodbye = frames::close(4001, "", false);
            server.write_all(&goodbye).await.expect("taken");
            assert_eq!(read(&mut caller, goodbye.len()).await, goodbye);
            let echo = frames::close(4001, "", true);
            caller.write_all(&echo).await.expect("taken");
            assert_eq!(read(&mut server, echo.len()).await, echo);
        };
        let (over, ()) = tokio::join!(relay(a, b, &limits), ends);
        assert_eq!(over, CloseCause::Closed(Side::Server, Some(4001)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_frame_and_both_sides_get_a_close_frame() {
        let ((mut caller, a), (b, mut server)) = (duplex(4096), duplex(4096));
        let (limits, begun) = (limits(), Instant::now());
        let ends = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            caller.write_all(&text("up")).await.expect("taken");
            assert_eq!(read(&mut server, 4).await, text("up"));
            assert_eq!(read(&mut caller, 4).await[2..], 1001_u16.to_be_bytes());
            assert_eq!(read(&mut server, 8).await[6..], 1001_u16.to_be_bytes());
            begun.elapsed().as_secs()
        };
        let (over, seconds) = tokio::join!(relay(a, b, &limits), ends);
        assert_eq!((over, seconds), (CloseCause::Idle, 25));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_a_long_frame_and_the_end_of_the_time_are_told_apart() {
        let ((caller, a), (b, _server)) = (duplex(4096), duplex(4096));
        drop(caller);
        assert_eq!(relay(a, b, &limits()).await, CloseCause::Gone(Side::Caller));

        let ((_caller, a), (b, mut server)) = (duplex(4096), duplex(4096));
        server.write_all(&[0x82, 126, 4, 0]).await.expect("taken");
        let over = relay(a, b, &limits()).await;
        assert!(matches!(over, CloseCause::Violated(Side::Server, _)), "{over:?}");

        let unbounded = Limits { response_frame_bytes_max: 0, ..limits() };
        let ((mut caller, a), (b, mut server)) = (duplex(4096), duplex(4096));
        let long = async {
            server.write_all(&[0x82, 126, 4, 0]).await.expect("taken");
            server.write_all(&[b'x'; 1024]).await.expect("taken");
            read(&mut caller, 1028).await;
            drop(server);
        };
        let (over, ()) = tokio::join!(relay(a, b, &unbounded), long);
        assert_eq!(over, CloseCause::Gone(Side::Server), "a long frame of the function passes");

        let ((_caller, a), (b, _server)) = (duplex(4096), duplex(4096));
        let soon = Limits { deadline: Instant::now() + Duration::from_secs(1), ..limits() };
        assert_eq!(relay(a, b, &soon).await, CloseCause::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_over_the_rate_limit_wait_and_do_not_count_as_silence() {
        let ((mut caller, a), (b, mut server)) = (duplex(4096), duplex(4096));
        let (limits, begun) = (Limits { frames_per_s_max: 2, idle_s: 5, ..limits() }, Instant::now());
        let ends = async {
            caller.write_all(&text("x").repeat(40)).await.expect("taken");
            read(&mut server, 40 * 3).await;
            let seconds = begun.elapsed().as_secs();
            caller.write_all(&frames::close(1000, "", false)).await.expect("taken");
            let echo = frames::close(1000, "", false);
            server.write_all(&echo).await.expect("taken");
            seconds
        };
        let (over, seconds) = tokio::join!(relay(a, b, &limits), ends);
        assert_eq!(seconds, 18, "two at once, and two a second");
        assert!(matches!(over, CloseCause::Closed(_, Some(1000))), "{over:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_closes_connections_at_once_even_those_that_take_nothing() {
        let ((mut caller, a), (b, _server)) = (duplex(64), duplex(4));
        let limits = limits();
        caller.write_all(&text("more than the server takes")).await.expect("taken");
        limits.leaving.cancel();
        assert_eq!(relay(a, b, &limits).await, CloseCause::Leaving);
    }
}
