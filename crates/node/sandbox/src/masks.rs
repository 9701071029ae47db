//! Paths of the kernel that instances do not see or may not write, whatever isolates them (the
//! lists of the OCI runtimes).

/// What tells about or reaches the machine below `/proc`.
pub const MASKED_PROC: &[&str] = &[
    "acpi",
    "asound",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "latency_stats",
    // Anyone may have it watched, which costs the kernel a thread, and it tells of the whole
    // machine.
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
