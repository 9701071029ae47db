//! Which system calls an instance may make, and with which arguments (x86_64; numbers by the kernel's table through `libc`).
//!
//! The list is what programs of images need. Left out are calls that change the machine (time, modules, swap, reboot),
//! make or enter namespaces, mount, load programs into the kernel (bpf), watch others (perf, userfaultfd, fanotify), use
//! key rings, or that no present program uses. Refused known calls get EPERM; numbers beyond the known ones get ENOSYS, so
//! that a newer C library falls back to older calls; so does `clone3`, whose flags a filter cannot see.

use std::collections::BTreeMap;

use libc::*;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes ahead.
    Allow,
    /// It fails with this error number.
    Fail(u16),
    /// It fails with `errno` when the low half of argument `index` has any bit of `mask`.
    FailOnBits { index: u8, mask: u32, errno: u16 },
    /// It goes ahead when the low half of argument `index` is one of the values, else fails with `errno`.
    Only { index: u8, values: &'static [u32], errno: u16 },
    /// The same, and it also goes ahead when that is `value` and the low half of the argument `second.0` is `second.1`.
    OnlyOrBoth { index: u8, values: &'static [u32], value: u32, second: (u8, u32), errno: u16 },
    /// It fails with `errno` when the low half of argument `index` is one of the values.
    Except { index: u8, values: &'static [u32], errno: u16 },
    /// It fails with `errno` when the low half of argument `index` is `value` and that of `second.0` one of `second.1`.
    ExceptBoth { index: u8, value: u32, second: (u8, &'static [u32]), errno: u16 },
}

/// Highest number that this list knows about (`fchmodat2`, Linux 6.6); beyond it is ENOSYS.
pub const KNOWN_MAX: u32 = 452;

/// Flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: u32 =
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET) as u32;

/// Socket families: local and both internets. Of netlink's protocols only the one that `getifaddrs` asks for interfaces:
/// the others reach packet filters, tunnels, ciphers and auditing, and libraries do without them on this error.
const SOCKETS: Verdict = Verdict::OnlyOrBoth {
    index: 0,
    values: &[AF_UNIX as u32, AF_INET as u32, AF_INET6 as u32],
    value: AF_NETLINK as u32,
    second: (2, NETLINK_ROUTE as u32),
    errno: EAFNOSUPPORT as u16,
};
/// The one family that has pairs.
const PAIRS: Verdict = Verdict::Only { index: 0, values: &[AF_UNIX as u32], errno: EAFNOSUPPORT as u16 };

/// Pushing characters into a terminal's input (TIOCSTI) or the console's (TIOCLINUX) reaches whoever reads it next.
const TERMINAL_INJECTION: &[u32] = &[0x5412, 0x541c];

/// `io_pgetevents` (asm/unistd_64.h).
const IO_PGETEVENTS: c_long = 333;

/// Personalities that change nothing dangerous: Linux as it is, 32-bit addresses (PER_LINUX32), both with UNAME26, and asking.
const PERSONALITIES: &[u32] = &[0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// Calls with the names of their numbers.
macro_rules! named {
    ($($call:ident),* $(,)?) => { &[$((stringify!($call), $call)),*] };
}

/// Calls that are allowed with any arguments.
#[rustfmt::skip] // One name a line would be three pages.
const ALLOWED: &[(&str, c_long)] = named![
    // files
    SYS_read, SYS_write, SYS_open, SYS_close, SYS_stat, SYS_fstat, SYS_lstat, SYS_poll, SYS_lseek, SYS_pread64,
    SYS_pwrite64, SYS_readv, SYS_writev, SYS_access, SYS_pipe, SYS_select, SYS_dup, SYS_dup2, SYS_sendfile,
    SYS_fcntl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_truncate, SYS_ftruncate, SYS_getdents, SYS_getcwd,
    SYS_chdir, SYS_fchdir, SYS_rename, SYS_mkdir, SYS_rmdir, SYS_creat, SYS_link, SYS_unlink, SYS_symlink,
    SYS_readlink, SYS_chmod, SYS_fchmod, SYS_chown, SYS_fchown, SYS_lchown, SYS_umask, SYS_mknod, SYS_statfs,
    SYS_fstatfs, SYS_sync, SYS_syncfs, SYS_readahead, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_getxattr,
    SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr, SYS_flistxattr, SYS_removexattr,
    SYS_lremovexattr, SYS_fremovexattr, SYS_utime, SYS_utimes, SYS_futimesat, SYS_utimensat, SYS_openat,
    SYS_mkdirat, SYS_mknodat, SYS_fchownat, SYS_newfstatat, SYS_unlinkat, SYS_renameat, SYS_linkat, SYS_symlinkat,
    SYS_readlinkat, SYS_fchmodat, SYS_faccessat, SYS_pselect6, SYS_ppoll, SYS_splice, SYS_tee, SYS_vmsplice,
    SYS_sync_file_range, SYS_fallocate, SYS_preadv, SYS_pwritev, SYS_dup3, SYS_pipe2, SYS_getdents64,
    SYS_renameat2, SYS_copy_file_range, SYS_preadv2, SYS_pwritev2, SYS_statx, SYS_openat2, SYS_faccessat2,
    SYS_fchmodat2, SYS_close_range, SYS_fadvise64, SYS_inotify_init, SYS_inotify_init1, SYS_inotify_add_watch,
    SYS_inotify_rm_watch, SYS_memfd_create,
    // memory
    SYS_mmap, SYS_mprotect, SYS_munmap, SYS_brk, SYS_mremap, SYS_msync, SYS_mincore, SYS_madvise, SYS_mlock,
    SYS_munlock, SYS_mlockall, SYS_munlockall, SYS_mlock2, SYS_remap_file_pages, SYS_pkey_mprotect,
    SYS_pkey_alloc, SYS_pkey_free, SYS_membarrier, SYS_get_mempolicy, SYS_set_mempolicy, SYS_mbind,
    SYS_process_madvise, SYS_shmget, SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_semget, SYS_semop, SYS_semctl,
    SYS_semtimedop, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend,
    SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr,
    // processes and threads
    SYS_fork, SYS_vfork, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_kill,
    SYS_tkill, SYS_tgkill, SYS_getpid, SYS_getppid, SYS_gettid, SYS_getpgrp, SYS_getpgid, SYS_setpgid, SYS_getsid,
    SYS_setsid, SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid, SYS_setuid, SYS_setgid, SYS_setreuid,
    SYS_setregid, SYS_setresuid, SYS_getresuid, SYS_setresgid, SYS_getresgid, SYS_getgroups, SYS_setgroups,
    SYS_setfsuid, SYS_setfsgid, SYS_capget, SYS_capset, SYS_arch_prctl, SYS_set_tid_address,
    SYS_set_robust_list, SYS_get_robust_list, SYS_futex, SYS_futex_waitv, SYS_sched_yield, SYS_sched_getaffinity,
    SYS_sched_setaffinity, SYS_sched_getparam, SYS_sched_setparam, SYS_sched_getscheduler, SYS_sched_setscheduler,
    SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_sched_rr_get_interval, SYS_sched_getattr,
    SYS_sched_setattr, SYS_getpriority, SYS_setpriority, SYS_ioprio_get, SYS_ioprio_set, SYS_getrlimit,
    SYS_setrlimit, SYS_prlimit64, SYS_getrusage, SYS_times, SYS_getcpu, SYS_rseq, SYS_pidfd_open,
    SYS_pidfd_send_signal, SYS_restart_syscall, SYS_uname, SYS_sysinfo, SYS_landlock_create_ruleset,
    SYS_landlock_add_rule, SYS_landlock_restrict_self,
    // signals, timers, events
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigtimedwait,
    SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_rt_sigsuspend, SYS_sigaltstack, SYS_pause, SYS_alarm,
    SYS_nanosleep, SYS_clock_nanosleep, SYS_getitimer, SYS_setitimer, SYS_gettimeofday, SYS_time,
    SYS_clock_gettime, SYS_clock_getres, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime,
    SYS_timer_getoverrun, SYS_timer_delete, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime,
    SYS_eventfd, SYS_eventfd2, SYS_signalfd, SYS_signalfd4, SYS_epoll_create, SYS_epoll_create1, SYS_epoll_ctl,
    SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_getrandom,
    // sockets
    SYS_connect, SYS_accept, SYS_accept4, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg,
    SYS_recvmmsg, SYS_shutdown, SYS_bind, SYS_listen, SYS_getsockname, SYS_getpeername, SYS_getsockopt,
];

/// Calls whose arguments decide.
const BY_ARGUMENT: &[(&str, c_long, Verdict)] = &[
    ("SYS_clone", SYS_clone, Verdict::FailOnBits { index: 0, mask: NAMESPACE_FLAGS, errno: EPERM as u16 }),
    ("SYS_clone3", SYS_clone3, Verdict::Fail(ENOSYS as u16)),
    ("SYS_socket", SYS_socket, SOCKETS),
    ("SYS_socketpair", SYS_socketpair, PAIRS),
    ("SYS_ioctl", SYS_ioctl, Verdict::Except { index: 1, values: TERMINAL_INJECTION, errno: EPERM as u16 }),
    ("SYS_personality", SYS_personality, Verdict::Only { index: 0, values: PERSONALITIES, errno: EPERM as u16 }),
    // io_uring reaches most of the kernel past this filter; libraries fall back when it is not there.
    ("SYS_io_uring_setup", SYS_io_uring_setup, Verdict::Fail(ENOSYS as u16)),
    // The kernel has a number of requests for the whole machine (fs.aio-max-nr); libraries fall back here, too.
    ("SYS_io_setup", SYS_io_setup, Verdict::Fail(ENOSYS as u16)),
    ("SYS_io_destroy", SYS_io_destroy, Verdict::Fail(ENOSYS as u16)),
    ("SYS_io_getevents", SYS_io_getevents, Verdict::Fail(ENOSYS as u16)),
    ("SYS_io_submit", SYS_io_submit, Verdict::Fail(ENOSYS as u16)),
    ("SYS_io_cancel", SYS_io_cancel, Verdict::Fail(ENOSYS as u16)),
    ("SYS_io_pgetevents", IO_PGETEVENTS, Verdict::Fail(ENOSYS as u16)),
];

/// Calls that load a filter into the kernel, which compiles it: the memory for that is one pool of the whole machine
/// (net.core.bpf_jit_limit) and counts as nobody's. They fail as on a kernel without filters.
const FILTERS: &[(&str, c_long, Verdict)] = &[
    ("SYS_prctl", SYS_prctl, Verdict::Except { index: 0, values: &[PR_SET_SECCOMP as u32], errno: EINVAL as u16 }),
    // What the kernel can, not what it is to do.
    ("SYS_seccomp", SYS_seccomp, Verdict::Only { index: 0, values: &[2, 3], errno: EINVAL as u16 }),
    (
        "SYS_setsockopt",
        SYS_setsockopt,
        Verdict::ExceptBoth {
            index: 1,
            value: SOL_SOCKET as u32,
            second: (2, &[SO_ATTACH_FILTER as u32, SO_ATTACH_REUSEPORT_CBPF as u32]),
            errno: ENOPROTOOPT as u16,
        },
    ),
];

/// Joining a user namespace: the filter is installed before an instance's first process does, see `sys::init`. What runs
/// inside is in the only one that it could name, which the kernel refuses to join again, and makes no others.
const JOIN_USER: Verdict = Verdict::Only { index: 1, values: &[CLONE_NEWUSER as u32], errno: EPERM as u16 };

fn listed(filters_inside: bool) -> impl Iterator<Item = (&'static str, c_long, Verdict)> {
    let allowed = ALLOWED.iter().map(|(name, call)| (*name, *call, Verdict::Allow));
    let filters = FILTERS
        .iter()
        .map(move |(name, call, verdict)| (*name, *call, if filters_inside { Verdict::Allow } else { *verdict }));
    allowed.chain(BY_ARGUMENT.iter().copied()).chain(filters)
}

/// A verdict for every number from 0 to [`KNOWN_MAX`], and for all beyond it under the number after. Programs may have filters
/// of their own, or not.
pub fn verdicts(filters_inside: bool) -> Vec<Verdict> {
    let mut listed: BTreeMap<u32, Verdict> = BTreeMap::new();
    let number = |call: c_long| u32::try_from(call).unwrap_or(u32::MAX);
    listed.extend(self::listed(filters_inside).map(|(_, call, verdict)| (number(call), verdict)));
    listed.insert(number(SYS_setns), JOIN_USER);
    let of = |n: u32| listed.get(&n).copied().unwrap_or(Verdict::Fail(EPERM as u16));
    (0..=KNOWN_MAX).map(of).chain([Verdict::Fail(ENOSYS as u16)]).collect()
}

/// The same by name, for runtimes that are told names: what is not among it fails.
pub fn by_name(filters_inside: bool) -> impl Iterator<Item = (&'static str, Verdict)> {
    listed(filters_inside).map(|(constant, _, verdict)| (constant.trim_start_matches("SYS_"), verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_leave_the_sandbox_are_refused() {
        let all = verdicts(false);
        for call in [
            SYS_mount,
            SYS_umount2,
            SYS_unshare,
            SYS_bpf,
            SYS_ptrace,
            SYS_kexec_load,
            SYS_init_module,
            SYS_reboot,
            SYS_keyctl,
            SYS_add_key,
            SYS_userfaultfd,
            SYS_perf_event_open,
            SYS_open_by_handle_at,
            SYS_pivot_root,
            SYS_chroot,
            SYS_swapon,
            SYS_clock_settime,
            SYS_process_vm_readv,
            SYS_fsopen,
            SYS_move_mount,
        ] {
            assert_eq!(all[usize::try_from(call).expect("a number")], Verdict::Fail(EPERM as u16), "call {call}");
        }
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut numbers: Vec<_> = listed(false).map(|(_, call, _)| call).chain([SYS_setns]).collect();
        numbers.sort_unstable();
        let all = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
        assert!(numbers.iter().all(|n| *n <= i64::from(KNOWN_MAX)));
    }
}
