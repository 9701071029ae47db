//! Low descriptor numbers that a launcher thread reserves for what its children inherit.
//!
//! Copying the whole descriptor table would duplicate and then close every descriptor, some twenty
//! per running instance. With its descriptors at low numbers, the child starts in the parent's
//! table and copies only the low end of it (`CLOSE_RANGE_UNSHARE`, Linux 5.9), whose length does
//! not depend on the number of instances.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Numbers that a thread reserves: enough for a start with some dozens of layers.
const RESERVED: usize = 48;

/// The reserved numbers. Reserve them early, while low numbers are free.
pub struct ReservedFds {
    /// What a reserved number refers to while no child needs it.
    empty: OwnedFd,
    reserved: Vec<OwnedFd>,
}

impl ReservedFds {
    /// Takes the lowest numbers that are free.
    pub fn reserve() -> io::Result<Self> {
        let empty = OwnedFd::from(File::open("/dev/null")?);
        let reserved = (0..RESERVED).map(|_| empty.try_clone()).collect::<io::Result<_>>()?;
        Ok(Self { empty, reserved })
    }

    /// Duplicates each of `files` to a reserved number, and writes that number there. If there are
    /// more files than numbers, nothing changes, and the child needs a copy of the whole table.
    pub(crate) fn move_in<'a>(&mut self, files: impl Iterator<Item = &'a mut RawFd>) -> io::Result<MovedIn<'_>> {
        let mut files: Vec<_> = files.collect();
        let mut moved = MovedIn { fds: self, taken: 0 };
        if files.len() > moved.fds.reserved.len() {
            return Ok(moved);
        }
        for file in &mut files {
            moved.take(file)?;
        }
        Ok(moved)
    }
}

/// Numbers in use; reserved again when dropped.
pub(crate) struct MovedIn<'a> {
    fds: &'a mut ReservedFds,
    taken: usize,
}

impl MovedIn<'_> {
    fn take(&mut self, file: &mut RawFd) -> io::Result<()> {
        let number = self.fds.reserved[self.taken].as_raw_fd();
        duplicate(*file, number)?;
        *file = number;
        self.taken += 1;
        Ok(())
    }

    /// The first number above all in use; `None` if none is.
    pub(crate) fn above(&self) -> Option<u32> {
        let numbers = self.fds.reserved.iter().take(self.taken);
        numbers.map(|number| number.as_raw_fd().unsigned_abs() + 1).max()
    }
}

impl Drop for MovedIn<'_> {
    fn drop(&mut self) {
        for number in self.fds.reserved.iter().take(self.taken) {
            // It can only fail for a number that is not open, and both are ours. What stayed would
            // be an open end of a pipe.
            duplicate(self.fds.empty.as_raw_fd(), number.as_raw_fd()).ok();
        }
    }
}

fn duplicate(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: `to` is a reserved number, which belongs to us and which nobody else uses; what was
    // there is not used any more.
    if unsafe { libc::dup3(from, to, libc::O_CLOEXEC) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn reserved_numbers_let_go_of_what_moved_in_and_too_many_stay_where_they_are() {
        let mut reserved = ReservedFds::reserve().expect("reserved");
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let number = writer.as_raw_fd();
        let mut files = vec![number; 3];
        let moved = reserved.move_in(files.iter_mut()).expect("moved in");
        assert!(files.iter().all(|file| *file != number), "{files:?}");
        assert_eq!(moved.above(), files.iter().max().map(|file| file.unsigned_abs() + 1));
        drop(moved);
        drop(writer);
        assert_eq!(reader.read(&mut [0]).expect("nobody holds the other end"), 0);

        let mut many = [reader.as_raw_fd(); RESERVED + 1];
        assert_eq!(reserved.move_in(many.iter_mut()).expect("left").above(), None);
        assert!(many.iter().all(|file| *file == reader.as_raw_fd()));
    }
}
