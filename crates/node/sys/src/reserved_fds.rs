//! Seats: low descriptor numbers that a launcher thread keeps for what its children need.
//!
//! A child with a copy of our whole table of descriptors would take each of them and close each again, some twenty for
//! every instance that runs. With what it needs at low numbers it begins in our table, and takes a copy of only its low
//! end (`CLOSE_RANGE_UNSHARE`, Linux 5.9), which is as long however many instances there are.
//!
//! Must not know what the descriptors are.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Seats of a thread: what a start needs but its image's layers, and some dozens of these.
const SEATS: usize = 48;

/// The numbers, taken while they are low: hold this from early on.
pub struct Seats {
    /// What sits in a seat that nobody uses.
    empty: OwnedFd,
    seats: Vec<OwnedFd>,
}

impl Seats {
    /// Takes the lowest numbers that are free.
    pub fn reserve() -> io::Result<Self> {
        let empty = OwnedFd::from(File::open("/dev/null")?);
        let seats = (0..SEATS).map(|_| empty.try_clone()).collect::<io::Result<_>>()?;
        Ok(Self { empty, seats })
    }

    /// Seats what is in `files`, and writes the numbers of the seats there. Where there are more than seats, all stay as they
    /// are, and the child needs a copy of the whole table.
    pub(crate) fn seat<'a>(&mut self, files: impl Iterator<Item = &'a mut RawFd>) -> io::Result<Seated<'_>> {
        let mut files: Vec<_> = files.collect();
        let mut seated = Seated { seats: self, taken: 0 };
        if files.len() > seated.seats.seats.len() {
            return Ok(seated);
        }
        for file in &mut files {
            seated.take(file)?;
        }
        Ok(seated)
    }
}

/// Taken seats; empty again when dropped.
pub(crate) struct Seated<'a> {
    seats: &'a mut Seats,
    taken: usize,
}

impl Seated<'_> {
    fn take(&mut self, file: &mut RawFd) -> io::Result<()> {
        let seat = self.seats.seats[self.taken].as_raw_fd();
        duplicate(*file, seat)?;
        *file = seat;
        self.taken += 1;
        Ok(())
    }

    /// The first number above all seats; nothing when none is taken.
    pub(crate) fn above(&self) -> Option<u32> {
        let seats = self.seats.seats.iter().take(self.taken);
        seats.map(|seat| seat.as_raw_fd().unsigned_abs() + 1).max()
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        for seat in self.seats.seats.iter().take(self.taken) {
            // It can only fail for a number that is not open, and both are ours. What stayed would be an open end of a pipe.
            duplicate(self.seats.empty.as_raw_fd(), seat.as_raw_fd()).ok();
        }
    }
}

fn duplicate(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: `to` is a seat, which belongs to us and which nobody else uses; what sat there is nobody's any more.
    if unsafe { libc::dup3(from, to, libc::O_CLOEXEC) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_sits_is_let_go_and_what_is_too_much_is_left_where_it_is() {
        let mut seats = Seats::reserve().expect("seats");
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let number = writer.as_raw_fd();
        let mut files = vec![number; 3];
        let seated = seats.seat(files.iter_mut()).expect("seated");
        assert!(files.iter().all(|file| *file != number), "{files:?}");
        assert_eq!(seated.above(), files.iter().max().map(|file| file.unsigned_abs() + 1));
        drop(seated);
        drop(writer);
        assert_eq!(reader.read(&mut [0]).expect("nobody holds the other end"), 0);

        let mut many = [reader.as_raw_fd(); SEATS + 1];
        assert_eq!(seats.seat(many.iter_mut()).expect("left").above(), None);
        assert!(many.iter().all(|file| *file == reader.as_raw_fd()));
    }
}
