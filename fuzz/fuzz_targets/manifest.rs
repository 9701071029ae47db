//! Manifests, indexes and image configs from strangers' registries.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| image::fuzzing::manifest(bytes));
