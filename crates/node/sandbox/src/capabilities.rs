//! Capabilities that root keeps inside an instance (capabilities(7)).
//!
//! Of docker's default list, without those that an instance's root has no use for: raw sockets (`NET_RAW`), device
//! nodes (`MKNOD`), the audit log (`AUDIT_WRITE`), changing the root again (`SYS_CHROOT`) and file capabilities
//! (`SETFCAP`). They hold in the instance's user namespace only.

/// Numbers of linux/capability.h, with what needs each.
const KEPT: &[u32] = &[
    0,  // CHOWN: package managers and servers that prepare their directories
    1,  // DAC_OVERRIDE: root reads and writes files of other owners, as images expect
    3,  // FOWNER: chmod on files of other owners
    4,  // FSETID: keeping set-id bits when files change
    5,  // KILL: supervisors signal children of other users
    6,  // SETGID: servers that start as root and become a user (nginx, postgres)
    7,  // SETUID: the same
    8,  // SETPCAP: servers that drop capabilities themselves
    10, // NET_BIND_SERVICE: ports below 1024
];

/// The kept capabilities as a bit set.
pub fn kept() -> u64 {
    KEPT.iter().fold(0, |bits, number| bits | 1 << number)
}
