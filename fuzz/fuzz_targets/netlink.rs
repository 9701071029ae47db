//! Netlink messages and their attributes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| network::fuzzing::netlink(bytes));
