//! `clone3(2)` as a raw call, on a stack of its own (linux/sched.h, `struct clone_args`).

use std::ffi::c_void;
use std::io;

/// `CLONE_CLEAR_SIGHAND`: the child starts with default signal handlers.
pub const CLEAR_SIGHAND: u64 = 0x1_0000_0000;
/// `CLONE_INTO_CGROUP`: the child starts in the cgroup v2 directory of `Args::cgroup`.
pub const INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args`, version 2 of the structure (Linux 5.7).
#[repr(C)]
#[derive(Default)]
pub struct Args {
    pub flags: u64,
    pub pidfd: u64,
    pub child_tid: u64,
    pub parent_tid: u64,
    pub exit_signal: u64,
    pub stack: u64,
    pub stack_size: u64,
    pub tls: u64,
    pub set_tid: u64,
    pub set_tid_size: u64,
    pub cgroup: u64,
}

/// Starts a child that runs `entry(argument)` on the stack in `args`; returns its pid.
///
/// # Safety
/// `args` must name a stack that nothing else uses while the child runs on it, and pointers that
/// stay valid until the call returns. With `CLONE_VM` the child shares all memory: `entry` must
/// make system calls only (no allocation, no locks, no thread-locals) and must end in `execve` or
/// `_exit`; `argument` must stay valid until then, which `CLONE_VFORK` ensures by suspending this
/// thread.
pub unsafe fn clone3(
    args: &Args,
    entry: extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> io::Result<libc::pid_t> {
    // SAFETY: as for this function.
    let result = unsafe { raw_clone3(args, entry, argument) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EINVAL)));
    }
    Ok(libc::pid_t::try_from(result).unwrap_or(libc::pid_t::MAX))
}

/// # Safety
/// As for [`clone3`].
#[cfg(target_arch = "x86_64")]
unsafe fn raw_clone3(args: &Args, entry: extern "C" fn(*mut c_void) -> !, argument: *mut c_void) -> i64 {
    let result: i64;
    // SAFETY: the kernel reads `args` and, in the child, switches to the stack given there. Both
    // sides go on behind `syscall`: the parent (rax != 0) leaves the block; the child, whose
    // registers are copies, calls `entry` with `argument` on the new stack and never returns. rcx
    // and r11 are clobbered by `syscall`.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") std::ptr::from_ref(args),
            in("rsi") size_of::<Args>(),
            in("r12") argument,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// # Safety
/// As for [`clone3`].
#[cfg(target_arch = "aarch64")]
unsafe fn raw_clone3(args: &Args, entry: extern "C" fn(*mut c_void) -> !, argument: *mut c_void) -> i64 {
    let result: i64;
    // SAFETY: the kernel reads `args` and, in the child, switches to the stack given there. Both
    // sides go on behind `svc`: the parent (x0 != 0) leaves the block; the child, whose registers
    // are copies, calls `entry` with `argument` on the new stack and never returns. `svc` changes
    // x0 alone.
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") std::ptr::from_ref(args) => result,
            in("x1") size_of::<Args>(),
            in("x20") argument,
            in("x21") entry,
        );
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "sys::clone needs `raw_clone3` for this architecture: the system call clone3, after which the child calls `entry(argument)` \
     on the new stack and the parent returns the result"
);

/// Whether the kernel has `clone3`, and no seccomp filter of an outer container hides it.
pub fn clone3_available() -> bool {
    // SAFETY: the kernel rejects a structure of size 0 before it reads anything or creates a
    // process.
    let result = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<Args>(), 0) };
    result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}
