//! Layers of arbitrary entries: merged, written as EROFS, and equal when read back.
#![no_main]

#[path = "../../crates/node/erofs/tests/support/compare.rs"]
mod compare;
#[path = "../../crates/node/erofs/tests/support/layers.rs"]
mod layers;
#[path = "../../crates/node/erofs/tests/support/reader.rs"]
mod reader;

use erofs::{BLOCK_BYTES, Device, Limits, Tree, write};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { entries_max: 60, xattr_bytes_max: 16 << 10 };

fuzz_target!(|bytes: &[u8]| {
    let mut tree = Tree::new(LIMITS);
    let mut devices = Vec::new();
    for (n, layer) in layers::layers(bytes).into_iter().enumerate() {
        let places = layers::places(n);
        if tree.apply(layer, &places).is_err() {
            return;
        }
        let device = |place| Device { tag: format!("device-{place}"), bytes: layers::DEVICE_BLOCKS * BLOCK_BYTES };
        devices.extend(places.into_iter().map(device));
    }
    if let Ok(image) = write(&tree, &devices) {
        compare::compare(&tree, &devices, &image);
    }
});
