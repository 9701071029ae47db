//! System calls that could escape a sandbox, each made in a child, and a few that must work. Most
//! pointers are null: a call that passes the filter fails with an error other than the filter's.

use libc::*;

/// A call's name, number and arguments.
struct Call(&'static str, c_long, [c_long; 5]);

/// A device number for `mknod`.
const fn device(major: c_long, minor: c_long) -> c_long {
    major << 8 | minor
}

const RAW: c_long = SOCK_RAW as c_long;
const DATAGRAM: c_long = SOCK_DGRAM as c_long;
const NODE: &std::ffi::CStr = c"/tmp/node";

const SOCKETS: &[(&str, c_int, c_long, c_long)] = &[
    ("unix", AF_UNIX, DATAGRAM, 0),
    ("internet", AF_INET, DATAGRAM, 0),
    ("internet-6", AF_INET6, DATAGRAM, 0),
    ("internet-raw", AF_INET, RAW, IPPROTO_ICMP as c_long),
    ("internet-6-raw", AF_INET6, RAW, IPPROTO_ICMPV6 as c_long),
    ("netlink-route", AF_NETLINK, RAW, NETLINK_ROUTE as c_long),
    ("netlink-netfilter", AF_NETLINK, RAW, NETLINK_NETFILTER as c_long),
    ("netlink-xfrm", AF_NETLINK, RAW, NETLINK_XFRM as c_long),
    ("netlink-generic", AF_NETLINK, RAW, NETLINK_GENERIC as c_long),
    ("netlink-audit", AF_NETLINK, RAW, NETLINK_AUDIT as c_long),
    ("netlink-crypto", AF_NETLINK, RAW, NETLINK_CRYPTO as c_long),
    ("netlink-uevent", AF_NETLINK, RAW, NETLINK_KOBJECT_UEVENT as c_long),
    ("packet", AF_PACKET, RAW, 0),
    ("key", AF_KEY, RAW, 2),
    ("vsock", AF_VSOCK, SOCK_STREAM as c_long, 0),
    ("cipher", AF_ALG, SOCK_SEQPACKET as c_long, 0),
    ("bluetooth", AF_BLUETOOTH, RAW, 0),
    ("can", AF_CAN, RAW, 1),
    ("tipc", AF_TIPC, DATAGRAM, 0),
    ("rds", AF_RDS, SOCK_SEQPACKET as c_long, 0),
    ("xdp", AF_XDP, RAW, 0),
];

const NAMESPACES: &[(&str, c_int)] = &[
    ("user", CLONE_NEWUSER),
    ("mount", CLONE_NEWNS),
    ("network", CLONE_NEWNET),
    ("process", CLONE_NEWPID),
    ("ipc", CLONE_NEWIPC),
    ("name", CLONE_NEWUTS),
    ("cgroup", CLONE_NEWCGROUP),
];

#[rustfmt::skip] // With one field per line it would take three pages.
const OTHERS: &[Call] = &[
    Call("clone3", SYS_clone3, [0; 5]),
    Call("setns", SYS_setns, [0, 0, 0, 0, 0]),
    Call("setns-network", SYS_setns, [0, CLONE_NEWNET as c_long, 0, 0, 0]),
    Call("setns-user", SYS_setns, [0, CLONE_NEWUSER as c_long, 0, 0, 0]),
    Call("unshare-time", SYS_unshare, [0x80, 0, 0, 0, 0]),
    Call("mount", SYS_mount, [0; 5]),
    Call("umount", SYS_umount2, [0; 5]),
    Call("pivot_root", SYS_pivot_root, [0; 5]),
    Call("chroot", SYS_chroot, [0; 5]),
    Call("fsopen", SYS_fsopen, [0; 5]),
    Call("fsmount", SYS_fsmount, [0; 5]),
    Call("fspick", SYS_fspick, [0; 5]),
    Call("open_tree", SYS_open_tree, [0; 5]),
    Call("move_mount", SYS_move_mount, [0; 5]),
    Call("mount_setattr", SYS_mount_setattr, [0; 5]),
    Call("open_by_handle_at", SYS_open_by_handle_at, [0; 5]),
    Call("name_to_handle_at", SYS_name_to_handle_at, [0; 5]),
    Call("keyctl", SYS_keyctl, [0; 5]),
    Call("add_key", SYS_add_key, [0; 5]),
    Call("request_key", SYS_request_key, [0; 5]),
    Call("bpf", SYS_bpf, [0; 5]),
    Call("perf_event_open", SYS_perf_event_open, [0; 5]),
    Call("ptrace-itself", SYS_ptrace, [0; 5]),
    Call("ptrace-attach", SYS_ptrace, [16, 1, 0, 0, 0]),
    Call("process_vm_readv", SYS_process_vm_readv, [1, 0, 0, 0, 0]),
    Call("process_vm_writev", SYS_process_vm_writev, [1, 0, 0, 0, 0]),
    Call("pidfd_getfd", SYS_pidfd_getfd, [0; 5]),
    Call("kcmp", SYS_kcmp, [1, 1, 0, 0, 0]),
    Call("userfaultfd", SYS_userfaultfd, [0; 5]),
    Call("io_uring_setup", SYS_io_uring_setup, [1, 0, 0, 0, 0]),
    Call("io_uring_enter", SYS_io_uring_enter, [0; 5]),
    Call("io_uring_register", SYS_io_uring_register, [0; 5]),
    Call("io_setup", SYS_io_setup, [1, 0, 0, 0, 0]),
    Call("io_submit", SYS_io_submit, [0; 5]),
    Call("seccomp-filter", SYS_seccomp, [1, 0, 0, 0, 0]),
    Call("prctl-filter", SYS_prctl, [PR_SET_SECCOMP as c_long, 2, 0, 0, 0]),
    Call("setsockopt-filter", SYS_setsockopt, [0, SOL_SOCKET as c_long, SO_ATTACH_FILTER as c_long, 0, 0]),
    Call("fanotify_init", SYS_fanotify_init, [0; 5]),
    Call("reboot", SYS_reboot, [0; 5]),
    Call("kexec_load", SYS_kexec_load, [0; 5]),
    Call("kexec_file_load", SYS_kexec_file_load, [0; 5]),
    Call("init_module", SYS_init_module, [0; 5]),
    Call("finit_module", SYS_finit_module, [0; 5]),
    Call("delete_module", SYS_delete_module, [0; 5]),
    Call("swapon", SYS_swapon, [0; 5]),
    Call("swapoff", SYS_swapoff, [0; 5]),
    Call("acct", SYS_acct, [0; 5]),
    Call("quotactl", SYS_quotactl, [0; 5]),
    Call("syslog", SYS_syslog, [3, 0, 0, 0, 0]),
    Call("settimeofday", SYS_settimeofday, [0; 5]),
    Call("clock_settime", SYS_clock_settime, [0; 5]),
    Call("clock_adjtime", SYS_clock_adjtime, [0; 5]),
    Call("adjtimex", SYS_adjtimex, [0; 5]),
    Call("sethostname", SYS_sethostname, [0; 5]),
    Call("setdomainname", SYS_setdomainname, [0; 5]),
    Call("iopl", SYS_iopl, [3, 0, 0, 0, 0]),
    Call("ioperm", SYS_ioperm, [0, 1, 1, 0, 0]),
    Call("modify_ldt", SYS_modify_ldt, [0; 5]),
    Call("vhangup", SYS_vhangup, [0; 5]),
    Call("move_pages", SYS_move_pages, [0; 5]),
    Call("migrate_pages", SYS_migrate_pages, [0; 5]),
    Call("personality-asking", SYS_personality, [0xffff_ffff, 0, 0, 0, 0]),
    Call("personality-fixed-addresses", SYS_personality, [0x0004_0000, 0, 0, 0, 0]),
    Call("ioctl-inject", SYS_ioctl, [0, 0x5412, 0, 0, 0]),
    Call("ioctl-inject-long", SYS_ioctl, [0, 0x1_0000_5412, 0, 0, 0]),
    Call("ioctl-console", SYS_ioctl, [0, 0x541c, 0, 0, 0]),
    Call("socketpair-packet", SYS_socketpair, [AF_PACKET as c_long, RAW, 0, 0, 0]),
    Call("x32-getpid", 0x4000_0000 | 39, [0; 5]),
    Call("unknown", 1_000, [0; 5]),
    Call("setuid-beyond", SYS_setuid, [70_000, 0, 0, 0, 0]),
    Call("nice", SYS_setpriority, [0, 0, -20, 0, 0]),
    Call("getpid", SYS_getpid, [0; 5]),
];

/// Calls with a path.
fn named() -> Vec<Call> {
    let path = NODE.as_ptr() as c_long;
    let node = |name, kind: mode_t, device| {
        Call(name, SYS_mknodat, [AT_FDCWD as c_long, path, (kind | 0o600) as c_long, device, 0])
    };
    vec![
        node("mknod-disk", S_IFBLK, device(8, 0)),
        node("mknod-memory", S_IFCHR, device(1, 1)),
        node("mknod-console", S_IFCHR, device(5, 1)),
        node("mknod-fifo", S_IFIFO, 0),
        Call("memfd_create", SYS_memfd_create, [path, 0, 0, 0, 0]),
    ]
}

/// Results of all calls, one per line.
pub fn all() -> String {
    let mut text = String::new();
    let mut attempt = |name: &str, call: c_long, arguments: [c_long; 5]| {
        text.push_str(&format!("{name} {}\n", outcome(call, arguments)));
    };
    for (name, family, kind, protocol) in SOCKETS {
        attempt(&format!("socket-{name}"), SYS_socket, [c_long::from(*family), *kind, *protocol, 0, 0]);
    }
    for (name, flag) in NAMESPACES {
        attempt(&format!("unshare-{name}"), SYS_unshare, [c_long::from(*flag), 0, 0, 0, 0]);
        attempt(&format!("clone-{name}"), SYS_clone, [c_long::from(*flag | SIGCHLD), 0, 0, 0, 0]);
    }
    for Call(name, call, arguments) in OTHERS.iter().chain(&named()) {
        attempt(name, *call, *arguments);
    }
    text
}

/// Makes the call in a child, whose exit code is the error number.
fn outcome(call: c_long, [a, b, c, d, e]: [c_long; 5]) -> String {
    // SAFETY: the child makes this one call, and then exits, which undoes its effects; the status
    // is a local.
    unsafe {
        let child = fork();
        if child == 0 {
            let done = syscall(call, a, b, c, d, e);
            _exit(if done == -1 { *__errno_location() } else { 0 });
        }
        let mut status = 0;
        if child < 0 || waitpid(child, &mut status, 0) != child {
            return "no child".to_owned();
        }
        if WIFEXITED(status) { WEXITSTATUS(status).to_string() } else { format!("signal {}", WTERMSIG(status)) }
    }
}
