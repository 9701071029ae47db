//! Manifests, indexes and image configs from untrusted registries.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oci::{Document, Fields, ImageConfig, references};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Document::Index(index)) = Document::read(bytes) {
        let _ = index.choose();
    }
    if let Ok(fields) = Fields::read(bytes) {
        let _ = (fields.artifact_type(), fields.subject(), fields.annotations());
    }
    let _ = ImageConfig::read(bytes, 1);
    let _ = references(bytes);
});
