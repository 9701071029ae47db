//! The init program that an instance can have (`init/init.rs`, as `docker run --init`), as an
//! executable file in memory.

use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// The program's binary.
pub const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// Creates a sealed in-memory file of it, which the platform cannot change either.
pub fn file() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 reject the flag, and all such files are executable there.
    let made = match memfd_create("init", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create("init", flags),
        other => other,
    };
    let mut file = std::fs::File::from(made?);
    file.write_all(PROGRAM)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file.into())
}

#[cfg(test)]
#[path = "../init/numbers.rs"]
mod numbers;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_system_calls_have_the_numbers_of_the_c_library() {
        let numbers = if cfg!(target_arch = "aarch64") { numbers::AARCH64 } else { numbers::X86_64 };
        for (number, want) in [
            (numbers.write, libc::SYS_write),
            (numbers.openat, libc::SYS_openat),
            (numbers.close, libc::SYS_close),
            (numbers.sigprocmask, libc::SYS_rt_sigprocmask),
            (numbers.clone, libc::SYS_clone),
            (numbers.execve, libc::SYS_execve),
            (numbers.exit_group, libc::SYS_exit_group),
            (numbers.wait4, libc::SYS_wait4),
            (numbers.kill, libc::SYS_kill),
            (numbers.setsid, libc::SYS_setsid),
            (numbers.sigtimedwait, libc::SYS_rt_sigtimedwait),
            (numbers.prctl, libc::SYS_prctl),
        ] {
            assert_eq!(libc::c_long::try_from(number), Ok(want));
        }
    }

    #[test]
    fn it_is_a_small_program_that_cannot_be_changed() {
        assert!(PROGRAM.starts_with(b"\x7fELF") && PROGRAM.len() < 16 << 10, "{} bytes", PROGRAM.len());
        let mut file = std::fs::File::from(file().expect("a file"));
        assert!(file.write_all(b"x").is_err() && file.set_len(0).is_err());
    }
}
