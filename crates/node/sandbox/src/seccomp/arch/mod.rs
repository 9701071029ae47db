//! Architecture-specific parts of the filter: its number in audit records, its name in libseccomp,
//! the numbers of calls.
//!
//! Tests compile all tables, so that a test on any machine finds entries missing for another.

#[cfg(any(test, target_arch = "aarch64"))]
mod aarch64;
#[cfg(any(test, target_arch = "x86_64"))]
mod x86_64;

#[cfg(any(test, target_arch = "aarch64"))]
pub use aarch64::AARCH64;
#[cfg(any(test, target_arch = "x86_64"))]
pub use x86_64::X86_64;

/// An architecture's table.
pub struct Architecture {
    /// `AUDIT_ARCH_…` (linux/audit.h), which the kernel passes to filters.
    pub audit: u32,
    /// `SCMP_ARCH_…`, the name in a runtime's configuration.
    pub libseccomp: &'static str,
    /// Calls of the rules that it has, with their numbers.
    pub numbers: &'static [(&'static str, u32)],
    /// Calls of the rules that it lacks.
    pub absent: &'static [&'static str],
}

/// The table of this machine.
#[cfg(target_arch = "x86_64")]
pub const NATIVE: &Architecture = &X86_64;
/// The table of this machine.
#[cfg(target_arch = "aarch64")]
pub const NATIVE: &Architecture = &AARCH64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "the system call filter needs a table for this architecture in crates/node/sandbox/src/seccomp/arch: its AUDIT_ARCH \
     (linux/audit.h), its name in libseccomp, and the numbers of its asm/unistd.h for every call of seccomp/rules.rs, or the \
     call's name among those that it has not"
);

impl Architecture {
    /// The number of a call; `None` when it has none.
    pub fn number(&self, call: &str) -> Option<u32> {
        let number = self.numbers.iter().find(|(name, _)| *name == call).map(|(_, number)| *number);
        debug_assert!(number.is_some() != self.absent.contains(&call), "the table of {} lacks {call}", self.libseccomp);
        number
    }
}
