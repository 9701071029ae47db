//! Capabilities that root keeps inside an instance (capabilities(7)).
//!
//! Of docker's default list, without those that an instance's root has no use for: raw sockets
//! (`NET_RAW`), device nodes (`MKNOD`), the audit log (`AUDIT_WRITE`), changing the root again
//! (`SYS_CHROOT`) and file capabilities (`SETFCAP`). They hold in the instance's user namespace
//! only.

/// Numbers of linux/capability.h, with what needs each.
const KEPT: &[(u32, &str)] = &[
    (0, "CAP_CHOWN"),             // package managers and servers that prepare their directories
    (1, "CAP_DAC_OVERRIDE"),      // root reads and writes files of other owners, as images expect
    (3, "CAP_FOWNER"),            // chmod on files of other owners
    (4, "CAP_FSETID"),            // keeping set-id bits when files change
    (5, "CAP_KILL"),              // supervisors signal children of other users
    (6, "CAP_SETGID"),            // servers that start as root and become a user (nginx, postgres)
    (7, "CAP_SETUID"),            // the same
    (8, "CAP_SETPCAP"),           // servers that drop capabilities themselves
    (10, "CAP_NET_BIND_SERVICE"), // ports below 1024
];

/// The kept capabilities as a bit set.
pub fn kept() -> u64 {
    KEPT.iter().fold(0, |bits, (number, _)| bits | 1 << number)
}

/// The same by name.
pub fn names() -> Vec<&'static str> {
    KEPT.iter().map(|(_, name)| *name).collect()
}
