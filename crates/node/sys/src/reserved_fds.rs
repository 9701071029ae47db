//! Low descriptor numbers that a launcher thread reserves for descriptors that its children
//! inherit.
//!
//! A child with a copy of the whole descriptor table would duplicate and close every descriptor,
//! some twenty for every running instance. With its descriptors at low numbers it starts in the
//! parent's table, and copies only its low end (`CLOSE_RANGE_UNSHARE`, Linux 5.9), whose length
//! does not depend on the number of instances.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Numbers reserved by a thread: enough for a start and some dozens of image layers.
const RESERVED: usize = 48;

/// The reserved numbers: created early, while low numbers are free.
pub struct ReservedFds {
    /// File of a reserved number that no child needs.
    empty: OwnedFd,
    reserved: Vec<OwnedFd>,
}

impl ReservedFds {
    /// Reserves the lowest free numbers.
    pub fn reserve() -> io::Result<Self> {
        let empty = OwnedFd::from(File::open("/dev/null")?);
        let reserved = (0..RESERVED).map(|_| empty.try_clone()).collect::<io::Result<_>>()?;
        Ok(Self { empty, reserved })
    }

    /// Duplicates each of `files` to a reserved number, and replaces it by that. With more files
    /// than reserved numbers, all stay unchanged, and the child copies the whole table.
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

/// Numbers in use; released when dropped.
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

    /// The first number above all in use; `None` when none is.
    pub(crate) fn above(&self) -> Option<u32> {
        let numbers = self.fds.reserved.iter().take(self.taken);
        numbers.map(|number| number.as_raw_fd().unsigned_abs() + 1).max()
    }
}

impl Drop for MovedIn<'_> {
    fn drop(&mut self) {
        for number in self.fds.reserved.iter().take(self.taken) {
            // Duplicating fails only for a number that is not open, and both are. A leftover would
            // keep a pipe open.
            duplicate(self.fds.empty.as_raw_fd(), number.as_raw_fd()).ok();
        }
    }
}

fn duplicate(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: `to` is a reserved number, exclusive to this value; its present file is not used any
    // more.
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
