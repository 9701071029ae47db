//! Paths of the kernel that are masked or read-only in instances, under every runtime (the lists of
//! the OCI runtimes).

/// Masked paths below `/proc`, which expose or affect the machine.
pub const MASKED_PROC: &[&str] = &[
    "acpi",
    "asound",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "latency_stats",
    // Any user may register a trigger, which costs the kernel a thread, and its values cover the
    // whole machine.
    "pressure",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
/// Masked paths below `/sys`. All are directories, because a directory covers them.
pub const MASKED_SYS: &[&str] = &["devices/virtual/powercap", "firmware", "kernel/debug", "kernel/tracing"];
/// Read-only paths below `/proc`.
pub const READ_ONLY_PROC: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger"];
