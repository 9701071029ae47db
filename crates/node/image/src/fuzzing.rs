//! What the fuzz targets call: the readers of strangers' bytes. Must not be used by anything else; it is only there
//! with the feature `fuzzing`.

use oci::{Document, ImageConfig};

use crate::index;

/// Reads a manifest, an index and a config; they may be refused, and must not panic.
pub fn manifest(bytes: &[u8]) {
    if let Ok(Document::Index(index)) = Document::read(bytes) {
        let _ = index.choose();
    }
    let _ = ImageConfig::read(bytes, 1);
    let _ = oci::references(bytes);
}

/// Reads the entries of a layer, compressed or not, without writing them.
pub fn layer(bytes: &[u8]) {
    let _ = index::list(bytes);
}

/// Reads the records of a PAX header.
pub fn pax(bytes: &[u8]) {
    index::pax_records(bytes);
}
