//! Descriptors that tokio waits for: ends of processes, and times finer than the millisecond of
//! tokio's timer.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with tokio for readability: a pidfd becomes readable when its process has
/// ended. Must be called on a tokio runtime.
pub fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the registered value owns the descriptor and hands out only shared references to it,
    // so it stays open and the same until the registration ends.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    registered.map_err(io::Error::from)
}

/// A kernel timer (`timerfd_create(2)`), precise to some microseconds.
#[derive(Debug)]
pub struct Timer {
    descriptor: AsyncFd<OwnedFd>,
}

impl Timer {
    /// Creates a timer. Must be called on a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self { descriptor: readable(descriptor)? })
    }

    /// Resolves after `duration`.
    pub async fn sleep(&mut self, duration: Duration) -> io::Result<()> {
        // A timer set to zero never fires.
        let value =
            Timespec::try_from(duration.max(Duration::from_nanos(1))).map_err(|_| io::ErrorKind::InvalidInput)?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.descriptor.readable().await?;
            // A read returns the number of expirations; a stale readiness from an earlier sleep
            // reads nothing.
            let expired = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0_u8; 8])?));
            if let Ok(read) = expired {
                return read.map(drop);
            }
        }
    }
}
