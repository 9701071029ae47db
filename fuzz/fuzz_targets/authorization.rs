//! The Authorization header of TC3 signatures: no input panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use signature::authorization::Authorization;

fuzz_target!(|text: &str| {
    if let Ok(read) = Authorization::parse(text) {
        let _ = read.scope();
    }
});
