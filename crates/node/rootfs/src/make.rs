//! Creates a root file system from layers: merges them, and writes an EROFS image or plain files.
//! Blocks.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;

use content_store::{Draft, LayerName, Layers, RootfsFacts};
use erofs::{Device, Limits, Tree};
use layer_index::Weight;
use oci::digest_of;
use types::Digest;

use crate::Error;
use crate::method::Method;
use crate::{files, owners};

/// Resources that creating a root file system takes.
pub struct Needs {
    /// Upper bound of names in it.
    names: u64,
    /// Upper bound of memory, in bytes.
    pub memory_bytes: u64,
}

/// Resources for the root file system of a stack; `None` when it exists, or when a layer is
/// missing.
///
/// # Errors
/// `Io`.
pub fn needs(layers: &Layers, method: Method, stack: &[Digest]) -> Result<Option<Needs>, content_store::Error> {
    if layers.facts::<RootfsFacts>(&name(method, stack))?.is_some() {
        return Ok(None);
    }
    let (mut total, mut list_bytes_max) = (Weight::default(), 0);
    for diff_id in stack {
        let Some((weight, list_bytes)) = layers.weight(&LayerName::tar(diff_id))? else { return Ok(None) };
        total += weight;
        list_bytes_max = list_bytes_max.max(list_bytes);
    }
    // One layer's list at a time, and the paths of its directories.
    let memory_bytes = total.merged_bytes().saturating_add(list_bytes_max.saturating_mul(2));
    Ok(Some(Needs { names: total.names(), memory_bytes }))
}

/// A layer that could not be merged.
enum Unapplied {
    Unread(content_store::Error),
    Unfit(erofs::Error),
}

impl From<erofs::Error> for Unapplied {
    fn from(source: erofs::Error) -> Self {
        Self::Unfit(source)
    }
}

/// Creates the root file system of a stack of layers, lowest first, unless it exists.
///
/// # Errors
/// All kinds.
pub fn make(layers: &Layers, method: Method, stack: &[Digest], limits: Limits) -> Result<(), Error> {
    let name = name(method, stack);
    if layers.facts::<RootfsFacts>(&name)?.is_some() {
        return Ok(());
    }
    let merged = Merged::of(layers, method, stack, limits)?;
    let draft = layers.begin()?;
    let devices = merged.devices.iter().map(|device| device.name.clone()).collect();
    let facts = if method.is_erofs() {
        let metadata_digest = Some(merged.write_erofs(&draft, stack)?);
        RootfsFacts { devices, metadata_digest }
    } else {
        let paths = merged.devices.iter().map(|device| layers.device(&device.name));
        let written = files::write(&merged.tree, &paths.collect::<Vec<_>>(), &draft.root());
        written.map_err(|e| top(stack, e))?;
        RootfsFacts::default()
    };
    Ok(layers.publish(&draft, &name, &facts)?)
}

/// The name of a stack's root file system.
pub fn name(method: Method, stack: &[Digest]) -> LayerName {
    if method.is_erofs() { LayerName::erofs(stack) } else { LayerName::files(stack) }
}

/// The name of a stack's root file system from before owners were folded, which is used where only
/// plain files are left of its layers.
pub fn unfolded_name(method: Method, stack: &[Digest]) -> Option<LayerName> {
    (!method.is_erofs()).then(|| LayerName::unfolded_files(stack))
}

/// Reports an error of the whole stack as one of its topmost layer.
fn top(stack: &[Digest], error: layer_index::Error) -> Error {
    match stack.last() {
        Some(diff_id) => Error::Layer { diff_id: diff_id.clone(), source: error },
        None => content_store::Error::Interrupted { operation: "writing an empty root file system" }.into(),
    }
}

/// A stack of layers, merged into one tree.
struct Merged {
    tree: Tree,
    devices: Vec<DataFile>,
}

/// A file that holds data of the tree.
struct DataFile {
    /// Its name below `layers`.
    name: String,
    bytes: u64,
}

impl Merged {
    fn of(layers: &Layers, method: Method, stack: &[Digest], limits: Limits) -> Result<Self, Error> {
        let mut merged = Self { tree: Tree::new(limits), devices: Vec::new() };
        let names = needs(layers, method, stack)?.map_or(0, |needs| needs.names.min(limits.entries_max));
        merged.tree.reserve(usize::try_from(names).unwrap_or_default());
        // A layer may be in a stack several times; its files are devices once.
        let mut known: HashMap<&Digest, Vec<u16>> = HashMap::new();
        for diff_id in stack {
            let layer_name = LayerName::tar(diff_id);
            let layer = layers.read(&layer_name)?.ok_or_else(|| Error::MissingLayer { diff_id: diff_id.clone() })?;
            let folded = |entry: Result<erofs::Entry, content_store::Error>| {
                let mut entry = entry.map_err(Unapplied::Unread)?;
                owners::fold(&mut entry.meta);
                Ok(entry)
            };
            let numbers = known.entry(diff_id).or_insert_with(|| {
                let mut numbers = vec![merged.add(&layer_name, false, layer.facts.tar_bytes)];
                if layer.facts.sparse_bytes > 0 {
                    numbers.push(merged.add(&layer_name, true, layer.facts.sparse_bytes));
                }
                numbers
            });
            let applied = merged.tree.apply_each(|| layer.entries().map(folded), numbers);
            applied.map_err(|error| match error {
                Unapplied::Unread(error) => Error::Content(error),
                Unapplied::Unfit(source) => {
                    Error::Layer { diff_id: diff_id.clone(), source: layer_index::Error::Stack { source } }
                }
            })?;
        }
        Ok(merged)
    }

    fn add(&mut self, layer: &LayerName, sparse: bool, bytes: u64) -> u16 {
        let number = u16::try_from(self.devices.len()).unwrap_or(u16::MAX);
        self.devices.push(DataFile { name: Layers::device_name(layer, sparse), bytes });
        number
    }

    /// Writes the EROFS image and returns its digest.
    fn write_erofs(&self, draft: &Draft, stack: &[Digest]) -> Result<Digest, Error> {
        // The table needs names; mounting uses their order.
        let device = |(number, file): (usize, &DataFile)| Device { tag: number.to_string(), bytes: file.bytes };
        let devices: Vec<_> = self.devices.iter().enumerate().map(device).collect();
        let image =
            erofs::write(&self.tree, &devices).map_err(|source| top(stack, layer_index::Error::Stack { source }))?;
        let path = draft.metadata();
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(&image)?;
            file.sync_data()
        });
        written.map_err(|e| content_store::Error::io("write", &path, e))?;
        Ok(digest_of(&image))
    }
}
