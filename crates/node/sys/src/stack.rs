//! A stack for a child that shares the parent's memory: a separate mapping, with a guard page
//! below.

use std::io;
use std::ptr::NonNull;

/// Usable bytes; the child's frames are small.
const SIZE_BYTES: usize = 128 * 1024;
/// One page that faults when the stack overflows.
const GUARD_BYTES: usize = 4096;

/// A mapped stack, reused by one launcher thread for one child after the other.
pub struct Stack {
    base: NonNull<libc::c_void>,
}

// SAFETY: the mapping belongs to this value alone and is only passed to the kernel through `&mut
// self`, so it may move between threads.
unsafe impl Send for Stack {}

impl Stack {
    /// Maps a stack.
    pub fn new() -> io::Result<Self> {
        let length = SIZE_BYTES + GUARD_BYTES;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: an anonymous mapping at an address of the kernel's choice overlaps no existing
        // memory.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self { base: NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)? };
        // SAFETY: the first page lies in the new mapping, which is not in use yet.
        if unsafe { libc::mprotect(base, GUARD_BYTES, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// Lowest usable address and size, as `clone3` takes them.
    pub(crate) fn range(&mut self) -> (u64, u64) {
        (self.base.as_ptr() as u64 + GUARD_BYTES as u64, SIZE_BYTES as u64)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is owned, of this length, and no child runs on it: `spawn` returns
        // only after the child has left the shared memory (CLONE_VFORK).
        unsafe { libc::munmap(self.base.as_ptr(), SIZE_BYTES + GUARD_BYTES) };
    }
}
