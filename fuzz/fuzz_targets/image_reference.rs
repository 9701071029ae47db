//! Image references: a parsed reference prints to an equal one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::ImageRef;

fuzz_target!(|text: &str| {
    if let Ok(image) = text.parse::<ImageRef>() {
        assert_eq!(image.to_string().parse::<ImageRef>(), Ok(image));
    }
});
