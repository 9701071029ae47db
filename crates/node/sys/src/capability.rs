//! Capabilities of the calling process (capset(2)), as bits. System calls only, errors as numbers.

use crate::calls::{Done, check};

/// `CAP_SYS_ADMIN` (linux/capability.h).
pub(crate) const SYS_ADMIN: u32 = 21;
/// Version 3 of the structures (linux/capability.h).
const VERSION: u32 = 0x2008_0522;

/// Reduces the permitted set to these capabilities, and makes all of them effective.
pub(crate) fn set(keep: u64) -> Done {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let word = |shift: u32| {
        let bits = (keep >> shift) as u32;
        Data { effective: bits, permitted: bits, inheritable: 0 }
    };
    let (header, data) = (Header { version: VERSION, pid: 0 }, [word(0), word(32)]);
    // SAFETY: the structures are those of version 3: a header and two data words, all locals.
    check(unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) })
}
