//! DNS messages from instances, as the relay parses and answers them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| network::fuzzing::dns(bytes));
