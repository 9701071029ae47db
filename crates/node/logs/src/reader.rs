//! The output of one instance: its two pipes, read outside the instance, split into lines, rate
//! limited, and assigned to the request that the instance serves.
//!
//! The pipes are read under one lock, by the instance's task when they are readable, and by the
//! caller that settles the instance: earlier output is then read at once, without waiting for the
//! task.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::pipe::PipeFlags;
use tokio::net::unix::pipe::Receiver;
use tokio_util::sync::CancellationToken;
use types::RequestId;

use crate::limit::{Limiter, ReadRate};
use crate::lines::Stream;
use crate::sink::{Origin, Sink};
use crate::split::Splitter;

/// The write ends for an instance's stdout and stderr. The reader ends when all copies of both are
/// closed.
#[derive(Debug)]
pub struct Stdio {
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// Bytes read from a pipe by one system call, and by its task between two yields, so that the
/// worker can serve other tasks.
const READ_BYTES: usize = 16 << 10;

/// The reader of one instance.
pub(crate) struct Reader {
    origin: Origin,
    sink: Sink,
    stdout: Receiver,
    stderr: Receiver,
    state: Mutex<State>,
    detached: CancellationToken,
}

struct State {
    owner: Option<RequestId>,
    stdout: Splitter,
    stderr: Splitter,
    limiter: Limiter,
    rate: ReadRate,
    /// Unreported dropped output, by [`DropReason`].
    dropped: [Dropped; 3],
}

impl State {
    fn splitter(&self, stream: Stream) -> &Splitter {
        if stream == Stream::Stderr { &self.stderr } else { &self.stdout }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Dropped {
    lines: u64,
    bytes: u64,
}

/// The reason for which output is dropped; the index of its counter.
#[derive(Debug, Clone, Copy)]
enum DropReason {
    Rate,
    RequestFull,
    QueueFull,
}

/// State of a pipe after a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PipeState {
    Empty,
    More,
    Ended,
}

impl Reader {
    /// Creates the pipes. Must be called within a tokio runtime.
    pub(crate) fn new(origin: Origin, sink: Sink) -> io::Result<(Self, Stdio)> {
        let (stdout, stdout_write) = pipe()?;
        let (stderr, stderr_write) = pipe()?;
        let state = State {
            owner: None,
            stdout: Splitter::new(sink.config.line_bytes_max),
            stderr: Splitter::new(sink.config.line_bytes_max),
            limiter: Limiter::new(&sink.config, Instant::now()),
            rate: ReadRate::new(&sink.config, Instant::now()),
            dropped: [Dropped::default(); 3],
        };
        let reader =
            Self { origin, sink, stdout, stderr, state: Mutex::new(state), detached: CancellationToken::new() };
        Ok((reader, Stdio { stdout: stdout_write, stderr: stderr_write }))
    }

    /// Reads until all writers of both pipes are closed or the reader is detached.
    pub(crate) async fn run(&self) {
        tokio::join!(self.follow(Stream::Stdout), self.follow(Stream::Stderr));
        self.close_lines(&mut self.state.lock());
    }

    async fn follow(&self, stream: Stream) {
        loop {
            let has_begun = self.state.lock().splitter(stream).has_begun();
            let ready = tokio::select! {
                biased;
                () = self.detached.cancelled() => return,
                ready = self.pipe(stream).readable() => ready,
                // A prompt, or a progress bar: followers get it before its newline arrives.
                () = tokio::time::sleep(self.sink.config.line_wait()), if has_begun => {
                    self.show_begun_line(&mut self.state.lock(), stream);
                    continue;
                }
            };
            let pipe = self.pipe(stream);
            let Ok(()) = ready else { return };
            let (state, pause) = self.read_up_to(stream, READ_BYTES, |buffer| pipe.try_read(buffer));
            match state {
                PipeState::Ended => return,
                _ if !pause.is_zero() => {
                    let rest = tokio::time::sleep(pause);
                    if self.detached.run_until_cancelled(rest).await.is_none() {
                        return;
                    }
                }
                // The pipe may stay readable.
                PipeState::More => tokio::task::yield_now().await,
                PipeState::Empty => {}
            }
        }
    }

    /// Reads the content of the pipes at the time of the call; ends incomplete lines.
    pub(crate) fn settle(&self) {
        self.catch_up();
        self.close_lines(&mut self.state.lock());
    }

    /// Reads the content of the pipes at the time of the call. An incomplete line continues:
    /// programs write one in pieces.
    pub(crate) fn catch_up(&self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            // Not until the pipe is empty: an instance that keeps writing would never settle.
            let pipe = self.pipe(stream);
            let waiting = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
            // By a direct system call: the runtime may not have noticed yet that the pipe is
            // readable.
            let read = |buffer: &mut [u8]| rustix::io::read(pipe, buffer).map_err(io::Error::from);
            self.read_up_to(stream, usize::try_from(waiting).unwrap_or(usize::MAX), read);
        }
    }

    /// Assigns output to `owner` from now on. An incomplete line ends before another request's;
    /// otherwise it continues.
    pub(crate) fn assign(&self, owner: Option<&RequestId>) {
        let mut state = self.state.lock();
        if state.owner.as_ref() != owner {
            if owner.is_some() {
                self.close_lines(&mut state);
            }
            state.owner = owner.cloned();
            if owner.is_some() {
                state.limiter.begin_request();
            }
        }
    }

    /// Reads the remaining output and closes the pipes, even while other processes hold the write
    /// ends.
    pub(crate) fn detach(&self) {
        self.settle();
        self.detached.cancel();
    }

    fn pipe(&self, stream: Stream) -> &Receiver {
        if stream == Stream::Stderr { &self.stderr } else { &self.stdout }
    }

    /// Reads at most `bytes_max` with `read`; also returns the pause before the next read.
    fn read_up_to(
        &self,
        stream: Stream,
        bytes_max: usize,
        read: impl Fn(&mut [u8]) -> io::Result<usize>,
    ) -> (PipeState, Duration) {
        let mut buffer = [0; READ_BYTES];
        let mut state = self.state.lock();
        let (mut left, mut lines) = (bytes_max, 0);
        let pipe_state = loop {
            if left == 0 {
                break PipeState::More;
            }
            let want = left.min(READ_BYTES);
            match read(&mut buffer[..want]) {
                Ok(0) => break PipeState::Ended,
                Ok(len) => {
                    lines += self.take(&mut state, stream, &buffer[..len]);
                    left -= len;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break PipeState::Empty,
                Err(error) => {
                    tracing::error!(instance = %self.origin.instance, %error, "cannot read the output of an instance");
                    break PipeState::Ended;
                }
            }
        };
        (pipe_state, state.rate.took(lines, bytes_max - left, Instant::now()))
    }

    /// Splits the bytes into lines; returns the number of ended lines.
    fn take(&self, state: &mut State, stream: Stream, bytes: &[u8]) -> usize {
        let State { owner, stdout, stderr, limiter, dropped, .. } = state;
        let splitter = if stream == Stream::Stderr { stderr } else { stdout };
        let mut lines = 0;
        splitter.push(bytes, |line| {
            lines += 1;
            self.emit(owner.as_ref(), limiter, dropped, stream, line);
        });
        lines
    }

    /// Ends incomplete lines, and reports dropped output.
    fn close_lines(&self, state: &mut State) {
        self.close_line(state, Stream::Stdout);
        self.close_line(state, Stream::Stderr);
        self.report_dropped(state.owner.as_ref(), &mut state.dropped);
    }

    /// Ends the incomplete line of a stream.
    fn close_line(&self, state: &mut State, stream: Stream) {
        let State { owner, stdout, stderr, limiter, dropped, .. } = state;
        let splitter = if stream == Stream::Stderr { stderr } else { stdout };
        splitter.flush(|line| self.emit(owner.as_ref(), limiter, dropped, stream, line));
    }

    /// Writes what there is of an incomplete line, as a line of its own.
    fn show_begun_line(&self, state: &mut State, stream: Stream) {
        let State { owner, stdout, stderr, limiter, dropped, .. } = state;
        let splitter = if stream == Stream::Stderr { stderr } else { stdout };
        splitter.flush_characters(|line| self.emit(owner.as_ref(), limiter, dropped, stream, line));
    }

    fn emit(
        &self,
        owner: Option<&RequestId>,
        limiter: &mut Limiter,
        dropped: &mut [Dropped; 3],
        stream: Stream,
        line: &[u8],
    ) {
        let drop_line = |dropped: &mut [Dropped; 3], why: DropReason| {
            dropped[why as usize].lines += 1;
            dropped[why as usize].bytes += line.len() as u64;
        };
        if !limiter.allow(line.len(), Instant::now()) {
            return drop_line(dropped, DropReason::Rate);
        }
        let request = owner.and_then(|id| self.sink.live.get(id));
        let bytes_max = self.sink.config.request_log_bytes_max;
        if request.as_ref().is_some_and(|r| !r.take_output(line.len(), bytes_max)) {
            return drop_line(dropped, DropReason::RequestFull);
        }
        self.report_dropped(owner, dropped);
        let text = String::from_utf8_lossy(line);
        if self.sink.output(&self.origin, owner, request, stream, &text).is_err() {
            drop_line(dropped, DropReason::QueueFull);
        }
    }

    /// Reports output dropped since the last report, one line for each reason; a rejected line is
    /// retried later.
    fn report_dropped(&self, owner: Option<&RequestId>, dropped: &mut [Dropped; 3]) {
        for why in [DropReason::Rate, DropReason::RequestFull, DropReason::QueueFull] {
            let Dropped { lines, bytes } = dropped[why as usize];
            if lines == 0 {
                continue;
            }
            let reason = self.reason(why);
            let text = format!("[PLATFORM] {lines} lines ({bytes} bytes) of output were dropped: {reason}");
            let request = owner.and_then(|id| self.sink.live.get(id));
            if self.sink.output(&self.origin, owner, request, Stream::Platform, &text).is_ok() {
                dropped[why as usize] = Dropped::default();
            }
        }
    }

    /// Writes a platform line to the instance's log. It is lost if the queue is full.
    pub(crate) fn platform(&self, line: &str) {
        let owner = self.state.lock().owner.clone();
        let request = owner.as_ref().and_then(|id| self.sink.live.get(id));
        let text = format!("[PLATFORM] {line}");
        if self.sink.output(&self.origin, owner.as_ref(), request, Stream::Platform, &text).is_err() {
            tracing::debug!(instance = %self.origin.instance, line, "lost a platform line");
        }
    }

    fn reason(&self, why: DropReason) -> String {
        let config = &self.sink.config;
        match why {
            DropReason::Rate => format!(
                "the instance wrote more than {} lines or {} bytes a second",
                config.instance_lines_per_s, config.instance_bytes_per_s
            ),
            DropReason::RequestFull => {
                format!("a request's log keeps {} bytes of output", config.request_log_bytes_max)
            }
            DropReason::QueueFull => "the platform could not store logs as fast as they came".to_owned(),
        }
    }
}

/// A pipe whose read end does not block and whose write end does.
fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((Receiver::from_owned_fd(read)?, write))
}
