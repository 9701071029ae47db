//! Compares file lengths with the recorded ones: detects truncated and missing files without
//! reading any.

use std::fs;
use std::io;
use std::path::Path;

use crate::Error;
use crate::layer_name::{LayerFacts, LayerName, RootfsFacts};
use crate::layers::Layers;

/// Whether a layer exists with files of the recorded lengths; touches it.
///
/// # Errors
/// `Io`.
pub fn layer_fits(layers: &Layers, name: &LayerName) -> Result<bool, Error> {
    let Some(facts) = layers.facts::<LayerFacts>(name)? else { return Ok(false) };
    let sparse = Layers::device_name(name, true);
    Ok(len(&layers.device(&Layers::device_name(name, false)))? == Some(facts.tar_bytes)
        && (facts.sparse_bytes == 0 || len(&layers.device(&sparse))? == Some(facts.sparse_bytes)))
}

/// Whether a root file system exists; touches it. Its layers are checked separately.
///
/// # Errors
/// `Io`.
pub fn rootfs_fits(layers: &Layers, name: &LayerName, is_erofs: bool) -> Result<bool, Error> {
    if layers.facts::<RootfsFacts>(name)?.is_none() {
        return Ok(false);
    }
    let file = if is_erofs { layers.metadata(name) } else { layers.root(name) };
    Ok(len(&file)?.is_some_and(|bytes| bytes > 0))
}

/// The length of a file; `None` when it does not exist.
fn len(path: &Path) -> Result<Option<u64>, Error> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path, error)),
    }
}
