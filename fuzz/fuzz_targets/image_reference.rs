//! Image references: what is read prints to what is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use types::ImageRef;

fuzz_target!(|text: &str| {
    if let Ok(image) = text.parse::<ImageRef>() {
        assert_eq!(image.to_string().parse::<ImageRef>(), Ok(image));
    }
});
