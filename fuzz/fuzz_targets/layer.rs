//! Layers: uncompressed, gzip or zstd, with arbitrary entries.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| layer_index::fuzzing::layer(bytes));
