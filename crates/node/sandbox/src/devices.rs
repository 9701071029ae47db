//! Content of an instance's `/dev`: the few devices that programs need, and the standard links
//! (runtime-spec, config-linux.md, "Default Devices", and runtime-linux.md, "Dev symbolic links").

use sys::instance_mounts::{DevLink, Device};

/// Character devices, readable and writable by every user.
pub const DEVICES: &[Device] = &[
    Device { name: c"null", major: 1, minor: 3 },
    Device { name: c"zero", major: 1, minor: 5 },
    Device { name: c"full", major: 1, minor: 7 },
    Device { name: c"random", major: 1, minor: 8 },
    Device { name: c"urandom", major: 1, minor: 9 },
    Device { name: c"tty", major: 5, minor: 0 },
];

/// Symbolic links.
pub const LINKS: &[DevLink] = &[
    DevLink { target: c"/proc/self/fd", name: c"fd" },
    DevLink { target: c"/proc/self/fd/0", name: c"stdin" },
    DevLink { target: c"/proc/self/fd/1", name: c"stdout" },
    DevLink { target: c"/proc/self/fd/2", name: c"stderr" },
    DevLink { target: c"pts/ptmx", name: c"ptmx" },
];
