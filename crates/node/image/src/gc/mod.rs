//! Garbage collection: what no pin, hold or lease reaches, and what has not just been touched, goes. Must not know why
//! things are kept. Safe beside everything else that runs, see `content::ledger`.

mod task;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use types::Digest;

use crate::content::ContentStore;
use crate::content::ledger::{Item, Roots};
use crate::layers::{LayerName, Layers, chain_ids};
use crate::{Config, Error, image_config};

pub(crate) use self::task::CollectTask;

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of those blobs.
    pub bytes: u64,
    /// Unpacked layers.
    pub layers: u64,
}

/// Collects once; blocks.
pub(crate) fn collect(content: &ContentStore, layers: &Layers, config: &Config) -> Result<Collected, Error> {
    // Listed before the roots are read: what comes later is not even a candidate.
    let blobs = list_blobs(content)?;
    let unpacked = layers.list()?;
    let roots = content.ledger().roots();
    let live = mark(content, config, &roots)?;
    let mut sweep = Sweep { content, layers, config, roots: &roots, collected: Collected::default() };
    let dead = |item: &Item| !live.contains(item);
    let dead_blobs = blobs.into_iter().map(|(digest, path)| (Item::Blob(digest), path));
    let dead_layers = unpacked.into_iter().map(|(name, path)| (Item::Layer(name), path));
    for (item, path) in dead_blobs.chain(dead_layers).filter(|(item, _)| dead(item)) {
        sweep.remove(&item, &path)?;
    }
    content.ledger().forget_old_touches(config.grace());
    Ok(sweep.collected)
}

fn list_blobs(content: &ContentStore) -> Result<Vec<(Digest, PathBuf)>, Error> {
    let dir = content.layout().blobs();
    let failed = |e| Error::io("list", &dir, e);
    let mut blobs = Vec::new();
    for entry in fs::read_dir(&dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let digest = entry.file_name().to_str().and_then(|name| format!("sha256:{name}").parse().ok());
        blobs.extend(digest.map(|digest| (digest, entry.path())));
    }
    Ok(blobs)
}

/// All that the roots reach. An error ends the collection: what cannot be read may name what must stay.
fn mark(content: &ContentStore, config: &Config, roots: &Roots) -> Result<HashSet<Item>, Error> {
    let mut live = HashSet::new();
    for pin in &roots.pins {
        let mut configs: Vec<(Digest, usize)> = Vec::new();
        let mut items = Vec::new();
        content.walk(&pin.digest, &mut |item| items.push(item), &mut |references| {
            let layers = references.blobs.len();
            configs.extend(references.config.map(|config| (config, layers)));
        })?;
        live.extend(items);
        if pin.keeps_rootfs {
            for (digest, layers) in configs {
                live.extend(unpacked_layers(content, config, &digest, layers)?.into_iter().map(Item::Layer));
            }
        }
    }
    Ok(live)
}

fn unpacked_layers(
    content: &ContentStore,
    config: &Config,
    digest: &Digest,
    layers: usize,
) -> Result<Vec<LayerName>, Error> {
    let Some(bytes) = content.read_small_now(digest, config.config_bytes_max)? else { return Ok(Vec::new()) };
    // The config of another platform of the same index has no layers here.
    let Ok(parsed) = image_config::parse(&bytes, layers) else { return Ok(Vec::new()) };
    let shared = parsed.diff_ids.iter().map(LayerName::shared);
    let chained = chain_ids(&parsed.diff_ids).iter().map(LayerName::chained).collect::<Vec<_>>();
    Ok(shared.chain(chained).collect())
}

struct Sweep<'a> {
    content: &'a ContentStore,
    layers: &'a Layers,
    config: &'a Config,
    roots: &'a Roots,
    collected: Collected,
}

impl Sweep<'_> {
    fn remove(&mut self, item: &Item, path: &Path) -> Result<(), Error> {
        let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
        let mut retired = None;
        let gone = self.content.ledger().remove_if_spent(
            item,
            age(&meta),
            self.roots.since,
            self.config.grace(),
            // Moved only, since the ledger is locked here.
            || self.layers.retire(path).map(|draft| retired = Some(draft)),
        )?;
        if let (true, Some(draft)) = (gone, retired) {
            match item {
                Item::Blob(_) => {
                    fs::remove_file(&draft).map_err(|e| Error::io("remove", &draft, e))?;
                    self.collected.blobs += 1;
                    self.collected.bytes += meta.len();
                }
                Item::Layer(_) => {
                    fs::remove_dir_all(&draft).map_err(|e| Error::io("remove", &draft, e))?;
                    self.collected.layers += 1;
                }
            }
        }
        Ok(())
    }
}

/// Time since a thing was made; a clock that was set back makes it new.
fn age(meta: &fs::Metadata) -> Duration {
    meta.modified().ok().and_then(|made| SystemTime::now().duration_since(made).ok()).unwrap_or_default()
}
