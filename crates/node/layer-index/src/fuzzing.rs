//! Entry points of the fuzz targets: parsers of untrusted bytes. Only with the feature `fuzzing`.

use std::sync::Arc;
use std::thread;

use crate::archive::Archive;
use crate::{Error, Limits, path, pax, stream};

/// Reads the entries of a layer, compressed or not, without storing them, within small limits.
pub fn layer(compressed: &[u8]) {
    let _ = list(compressed);
}

fn list(compressed: &[u8]) -> Result<usize, Error> {
    const STREAM_BYTES_MAX: u64 = 1 << 20;
    const EXTENSION_BYTES_MAX: u64 = 64 << 10;
    let limits = Limits {
        stream_bytes_max: STREAM_BYTES_MAX,
        extension_bytes_max: EXTENSION_BYTES_MAX,
        path_len_max: 4095,
        text_bytes_max: STREAM_BYTES_MAX,
        zstd_window_bits: 20,
    };
    let (decoder, stream) = stream::stream(None, &limits, Arc::default());
    let mut archive = Archive::new(stream, EXTENSION_BYTES_MAX);
    thread::scope(|scope| {
        scope.spawn(move || decoder.run(compressed));
        let mut entries = 0;
        while let Some(entry) = archive.next()? {
            if let Ok(path) = path::EntryPath::parse(&entry.path, 4095) {
                let _ = path::place(path);
            }
            entries += 1;
        }
        Ok(entries)
    })
}

/// Parses the records of one PAX header, which may be invalid.
pub fn pax(bytes: &[u8]) {
    let _ = pax::Extensions::default().add_pax(bytes);
}
