//! WebSocket frames in chunks of any length.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| invoke::fuzzing::websocket_frames(bytes));
