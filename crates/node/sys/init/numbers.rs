//! Numbers of the system calls that the init program makes, by architecture.

pub struct Numbers {
    pub write: usize,
    pub openat: usize,
    pub close: usize,
    pub sigprocmask: usize,
    pub clone: usize,
    pub execve: usize,
    pub exit_group: usize,
    pub wait4: usize,
    pub kill: usize,
    pub setsid: usize,
    pub sigtimedwait: usize,
    pub prctl: usize,
}

/// asm/unistd_64.h.
#[allow(dead_code)] // One of them is another machine's.
pub const X86_64: Numbers = Numbers {
    write: 1,
    openat: 257,
    close: 3,
    sigprocmask: 14,
    clone: 56,
    execve: 59,
    exit_group: 231,
    wait4: 61,
    kill: 62,
    setsid: 112,
    sigtimedwait: 128,
    prctl: 157,
};

/// asm-generic/unistd.h.
#[allow(dead_code)]
pub const AARCH64: Numbers = Numbers {
    write: 64,
    openat: 56,
    close: 57,
    sigprocmask: 135,
    clone: 220,
    execve: 221,
    exit_group: 94,
    wait4: 260,
    kill: 129,
    setsid: 157,
    sigtimedwait: 137,
    prctl: 167,
};
