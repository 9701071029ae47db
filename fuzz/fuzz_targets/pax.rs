//! Records of PAX extended headers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| layer_index::fuzzing::pax(bytes));
