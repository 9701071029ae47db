//! System calls that an instance may make, and with which arguments. `arch` has their numbers.
//!
//! The list covers the needs of programs in images. It omits calls that change the machine (time,
//! modules, swap, reboot), create or enter namespaces, mount, load programs into the kernel (bpf),
//! watch others (perf, userfaultfd, fanotify), use key rings, or that no present program uses.
//! Omitted known calls fail with EPERM; numbers beyond the known ones fail with ENOSYS, so that a
//! newer C library falls back to older calls; so does `clone3`, whose flags a filter cannot read.

use std::collections::BTreeMap;

use libc::*;

use super::arch::{Architecture, NATIVE};

/// Action of the filter for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Allows it.
    Allow,
    /// Fails it with this error number.
    Fail(u16),
    /// Fails it with `errno` when the low half of argument `index` has any bit of `mask`.
    FailOnBits { index: u8, mask: u32, errno: u16 },
    /// Allows it when the low half of argument `index` is one of the values, else fails it with
    /// `errno`.
    Only { index: u8, values: &'static [u32], errno: u16 },
    /// The same, and also allows it when that is `value` and the low half of the argument
    /// `second.0` is `second.1`.
    OnlyOrBoth { index: u8, values: &'static [u32], value: u32, second: (u8, u32), errno: u16 },
    /// Fails it with `errno` when the low half of argument `index` is one of the values.
    Except { index: u8, values: &'static [u32], errno: u16 },
    /// Fails it with `errno` when the low half of argument `index` is `value` and that of
    /// `second.0` one of `second.1`.
    ExceptBoth { index: u8, value: u32, second: (u8, &'static [u32]), errno: u16 },
}

/// Highest number of the list (`fchmodat2`, Linux 6.6); higher ones fail with ENOSYS.
pub const KNOWN_MAX: u32 = 452;

/// Flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: u32 =
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET) as u32;

/// Socket families: local and both internets. Of netlink's protocols only the one that `getifaddrs`
/// uses to list interfaces: the others reach packet filters, tunnels, ciphers and auditing, and
/// libraries work without them on this error.
const SOCKETS: Action = Action::OnlyOrBoth {
    index: 0,
    values: &[AF_UNIX as u32, AF_INET as u32, AF_INET6 as u32],
    value: AF_NETLINK as u32,
    second: (2, NETLINK_ROUTE as u32),
    errno: EAFNOSUPPORT as u16,
};
/// The one family that has pairs.
const PAIRS: Action = Action::Only { index: 0, values: &[AF_UNIX as u32], errno: EAFNOSUPPORT as u16 };

/// Pushing characters into a terminal's input (TIOCSTI) or the console's (TIOCLINUX) injects them
/// into its next reader.
const TERMINAL_INJECTION: &[u32] = &[0x5412, 0x541c];

/// Harmless personalities: Linux as it is, 32-bit addresses (PER_LINUX32), both with UNAME26, and
/// the query.
const PERSONALITIES: &[u32] = &[0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

/// Names of calls.
macro_rules! named {
    ($($call:ident),* $(,)?) => { &[$(stringify!($call)),*] };
}

/// Calls that are allowed with any arguments.
#[rustfmt::skip] // One name a line would be three pages.
const ALLOWED: &[&str] = named![
    // files
    read, write, open, close, stat, fstat, lstat, poll, lseek, pread64,
    pwrite64, readv, writev, access, pipe, select, dup, dup2, sendfile,
    fcntl, flock, fsync, fdatasync, truncate, ftruncate, getdents, getcwd,
    chdir, fchdir, rename, mkdir, rmdir, creat, link, unlink, symlink,
    readlink, chmod, fchmod, chown, fchown, lchown, umask, mknod, statfs,
    fstatfs, sync, syncfs, readahead, setxattr, lsetxattr, fsetxattr, getxattr,
    lgetxattr, fgetxattr, listxattr, llistxattr, flistxattr, removexattr,
    lremovexattr, fremovexattr, utime, utimes, futimesat, utimensat, openat,
    mkdirat, mknodat, fchownat, newfstatat, unlinkat, renameat, linkat, symlinkat,
    readlinkat, fchmodat, faccessat, pselect6, ppoll, splice, tee, vmsplice,
    sync_file_range, fallocate, preadv, pwritev, dup3, pipe2, getdents64,
    renameat2, copy_file_range, preadv2, pwritev2, statx, openat2, faccessat2,
    fchmodat2, close_range, fadvise64, inotify_init, inotify_init1, inotify_add_watch,
    inotify_rm_watch, memfd_create,
    // memory
    mmap, mprotect, munmap, brk, mremap, msync, mincore, madvise, mlock,
    munlock, mlockall, munlockall, mlock2, remap_file_pages, pkey_mprotect,
    pkey_alloc, pkey_free, membarrier, get_mempolicy, set_mempolicy, mbind,
    process_madvise, shmget, shmat, shmctl, shmdt, semget, semop, semctl,
    semtimedop, msgget, msgsnd, msgrcv, msgctl, mq_open, mq_unlink, mq_timedsend,
    mq_timedreceive, mq_notify, mq_getsetattr,
    // processes and threads
    fork, vfork, execve, execveat, exit, exit_group, wait4, waitid, kill,
    tkill, tgkill, getpid, getppid, gettid, getpgrp, getpgid, setpgid, getsid,
    setsid, getuid, getgid, geteuid, getegid, setuid, setgid, setreuid,
    setregid, setresuid, getresuid, setresgid, getresgid, getgroups, setgroups,
    setfsuid, setfsgid, capget, capset, arch_prctl, set_tid_address,
    set_robust_list, get_robust_list, futex, futex_waitv, sched_yield, sched_getaffinity,
    sched_setaffinity, sched_getparam, sched_setparam, sched_getscheduler, sched_setscheduler,
    sched_get_priority_max, sched_get_priority_min, sched_rr_get_interval, sched_getattr,
    sched_setattr, getpriority, setpriority, ioprio_get, ioprio_set, getrlimit,
    setrlimit, prlimit64, getrusage, times, getcpu, rseq, pidfd_open,
    pidfd_send_signal, restart_syscall, uname, sysinfo, landlock_create_ruleset,
    landlock_add_rule, landlock_restrict_self,
    // signals, timers, events
    rt_sigaction, rt_sigprocmask, rt_sigreturn, rt_sigpending, rt_sigtimedwait,
    rt_sigqueueinfo, rt_tgsigqueueinfo, rt_sigsuspend, sigaltstack, pause, alarm,
    nanosleep, clock_nanosleep, getitimer, setitimer, gettimeofday, time,
    clock_gettime, clock_getres, timer_create, timer_settime, timer_gettime,
    timer_getoverrun, timer_delete, timerfd_create, timerfd_settime, timerfd_gettime,
    eventfd, eventfd2, signalfd, signalfd4, epoll_create, epoll_create1, epoll_ctl,
    epoll_wait, epoll_pwait, epoll_pwait2, getrandom,
    // sockets
    connect, accept, accept4, sendto, recvfrom, sendmsg, recvmsg, sendmmsg,
    recvmmsg, shutdown, bind, listen, getsockname, getpeername, getsockopt,
];

/// Calls that are filtered by argument.
const BY_ARGUMENT: &[(&str, Action)] = &[
    ("clone", Action::FailOnBits { index: 0, mask: NAMESPACE_FLAGS, errno: EPERM as u16 }),
    ("clone3", Action::Fail(ENOSYS as u16)),
    ("socket", SOCKETS),
    ("socketpair", PAIRS),
    ("ioctl", Action::Except { index: 1, values: TERMINAL_INJECTION, errno: EPERM as u16 }),
    ("personality", Action::Only { index: 0, values: PERSONALITIES, errno: EPERM as u16 }),
    // io_uring reaches most of the kernel without this filter; libraries fall back when it is
    // missing.
    ("io_uring_setup", Action::Fail(ENOSYS as u16)),
    // The kernel limits requests for the whole machine (fs.aio-max-nr); libraries fall back here
    // too.
    ("io_setup", Action::Fail(ENOSYS as u16)),
    ("io_destroy", Action::Fail(ENOSYS as u16)),
    ("io_getevents", Action::Fail(ENOSYS as u16)),
    ("io_submit", Action::Fail(ENOSYS as u16)),
    ("io_cancel", Action::Fail(ENOSYS as u16)),
    ("io_pgetevents", Action::Fail(ENOSYS as u16)),
];

/// Calls that load a filter into the kernel, which compiles it: the memory for that is one pool of
/// the whole machine (net.core.bpf_jit_limit) and is charged to no cgroup. They fail as on a kernel
/// without filters.
const FILTERS: &[(&str, Action)] = &[
    ("prctl", Action::Except { index: 0, values: &[PR_SET_SECCOMP as u32], errno: EINVAL as u16 }),
    // Queries of the kernel's features, no filters.
    ("seccomp", Action::Only { index: 0, values: &[2, 3], errno: EINVAL as u16 }),
    (
        "setsockopt",
        Action::ExceptBoth {
            index: 1,
            value: SOL_SOCKET as u32,
            second: (2, &[SO_ATTACH_FILTER as u32, SO_ATTACH_REUSEPORT_CBPF as u32]),
            errno: ENOPROTOOPT as u16,
        },
    ),
];

/// Joining a user namespace: the filter is installed before an instance's first process does that,
/// see `sys::init`. A process inside can only name its own namespace, which the kernel does not let
/// it join again, and cannot create others.
const JOIN_USER: Action = Action::Only { index: 1, values: &[CLONE_NEWUSER as u32], errno: EPERM as u16 };

/// Actions by names of calls, including calls that an architecture lacks.
fn listed(filters_inside: bool) -> impl Iterator<Item = (&'static str, Action)> {
    let allowed = ALLOWED.iter().map(|name| (*name, Action::Allow));
    let filters =
        FILTERS.iter().map(move |(name, action)| (*name, if filters_inside { Action::Allow } else { *action }));
    allowed.chain(BY_ARGUMENT.iter().copied()).chain(filters)
}

/// An action for every number from 0 to [`KNOWN_MAX`], and one for all higher numbers after them;
/// with or without permission for filters of the programs' own.
pub fn actions(architecture: &Architecture, filters_inside: bool) -> Vec<Action> {
    let numbered = |(name, action)| Some((architecture.number(name)?, action));
    let join_user = ("setns", JOIN_USER);
    let listed: BTreeMap<u32, Action> = listed(filters_inside).chain([join_user]).filter_map(numbered).collect();
    let of = |n: u32| listed.get(&n).copied().unwrap_or(Action::Fail(EPERM as u16));
    (0..=KNOWN_MAX).map(of).chain([Action::Fail(ENOSYS as u16)]).collect()
}

/// The same by name, for OCI runtimes; calls that are not among them fail.
pub fn by_name(filters_inside: bool) -> impl Iterator<Item = (&'static str, Action)> {
    listed(filters_inside).filter(|(name, _)| NATIVE.number(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::arch::{AARCH64, X86_64};
    use super::*;

    #[test]
    fn calls_that_leave_the_sandbox_are_refused() {
        let all = actions(NATIVE, false);
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
            assert_eq!(all[usize::try_from(call).expect("a number")], Action::Fail(EPERM as u16), "call {call}");
        }
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut names: Vec<_> = listed(false).map(|(name, _)| name).chain(["setns"]).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]));
    }

    #[test]
    fn each_architecture_has_a_number_for_every_call_or_says_that_it_has_none() {
        for Architecture { numbers, absent, libseccomp, .. } in [X86_64, AARCH64] {
            for name in listed(false).map(|(name, _)| name).chain(["setns"]) {
                let has = numbers.iter().filter(|(known, _)| *known == name).count();
                let has_not = absent.iter().filter(|known| **known == name).count();
                assert_eq!(has + has_not, 1, "{libseccomp}: {name}");
            }
            assert!(numbers.windows(2).all(|two| two[0].1 < two[1].1), "{libseccomp}: in order, each once");
            assert!(numbers.iter().all(|(_, number)| *number <= KNOWN_MAX), "{libseccomp}");
        }
        assert_ne!(X86_64.audit, AARCH64.audit);
    }

    #[test]
    fn numbers_are_those_of_the_c_library() {
        macro_rules! same {
            ($($name:literal $call:ident),* $(,)?) => { $(
                assert_eq!(NATIVE.number($name).map(c_long::from), Some($call), $name);
            )* };
        }
        same!(
            "read" SYS_read, "openat" SYS_openat, "newfstatat" SYS_newfstatat, "clone" SYS_clone, "clone3" SYS_clone3,
            "execve" SYS_execve, "exit_group" SYS_exit_group, "socket" SYS_socket, "accept4" SYS_accept4,
            "connect" SYS_connect, "ioctl" SYS_ioctl, "prctl" SYS_prctl, "seccomp" SYS_seccomp, "setns" SYS_setns,
            "mmap" SYS_mmap, "futex" SYS_futex, "rt_sigaction" SYS_rt_sigaction, "epoll_pwait" SYS_epoll_pwait,
            "setsockopt" SYS_setsockopt, "personality" SYS_personality, "io_uring_setup" SYS_io_uring_setup,
            "statx" SYS_statx, "rseq" SYS_rseq, "close_range" SYS_close_range, "faccessat2" SYS_faccessat2,
            "landlock_restrict_self" SYS_landlock_restrict_self, "futex_waitv" SYS_futex_waitv, "kill" SYS_kill,
        );
    }
}
