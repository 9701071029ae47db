//! Paths of the kernel that instances do not see or may not write, whatever isolates them (the
//! lists of the OCI runtimes).

/// Files below `/proc` that expose or control the host.
pub const MASKED_PROC: &[&str] = &[
    "acpi",
    "asound",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "latency_stats",
    // Any process may register triggers, each of which costs the kernel a thread, and the values
    // are those of the whole host.
    "pressure",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
/// The same below `/sys`. Directories, for what covers them is one.
pub const MASKED_SYS: &[&str] = &["devices/virtual/powercap", "firmware", "kernel/debug", "kernel/tracing"];
/// What may only be read below `/proc`.
pub const READ_ONLY_PROC: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger"];
