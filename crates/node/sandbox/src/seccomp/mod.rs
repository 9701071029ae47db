//! The system call filter: rules as data (`rules.rs`), numbers by architecture (`arch`), compiled
//! into a binary search (`compile.rs`).
//!
//! A list with one comparison for each system call costs 300 microseconds a start to install and
//! makes every call slower; a binary search over ranges of numbers is a tenth of it.

mod arch;
mod compile;
mod rules;

use std::sync::OnceLock;

pub use arch::NATIVE;
pub use rules::{Action, by_name};

/// The filter of an instance, with or without permission for filters of its own programs: `struct
/// sock_filter` in 64 bits each.
pub fn filter(filters_inside: bool) -> &'static [u64] {
    static FILTERS: [OnceLock<Vec<u64>>; 2] = [const { OnceLock::new() }; 2];
    FILTERS[usize::from(filters_inside)]
        .get_or_init(|| compile::compile(NATIVE.audit, &rules::actions(NATIVE, filters_inside)))
}
