//! Garbage collection: removes content that no pin, hold or lease reaches and that was not used
//! recently. Safe concurrently with all users of content, see `gc_roots`.

mod task;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use content_store::{ContentStore, Item, LayerName, Layers, Roots};
use rootfs::Method;
use types::Digest;

use crate::{Config, Error};

pub(crate) use self::task::BackgroundTasks;

/// Result of a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of everything that was removed.
    pub bytes: u64,
    /// Layers and root file systems.
    pub layers: u64,
}

impl Collected {
    fn add(&mut self, spent: &Unneeded) {
        match spent.item {
            Item::Blob(_) => self.blobs += 1,
            Item::Layer(_) => self.layers += 1,
        }
        self.bytes += spent.bytes;
    }
}

/// Collects once; blocks. Of unreferenced content, the most recently used `unpinned_bytes_max`
/// stay.
pub(crate) fn collect(
    content: &ContentStore,
    layers: &Layers,
    method: Method,
    config: &Config,
) -> Result<Collected, Error> {
    let roots = || content.gc_roots().roots();
    let Some(Plan { roots, there, unneeded }) = plan(content, layers, method, config, roots)? else {
        return Ok(Collected::default());
    };
    let mut sweep = Sweep { content, layers, config, roots: &roots, collected: Collected::default() };
    for spent in unneeded {
        if let Err(error) = sweep.remove(&spent) {
            tracing::warn!(path = %spent.path.display(), error = error.report(), "cannot remove unreferenced content");
        }
    }
    content.forget_unreachable(&roots.pins.iter().map(|pin| pin.digest.clone()).collect());
    content.gc_roots().forget_old_touches(config.grace(), |item| there.contains(item));
    Ok(sweep.collected)
}

/// Returns what [`collect`] would remove without the pins of these owners; blocks.
pub(crate) fn preview(
    content: &ContentStore,
    layers: &Layers,
    method: Method,
    config: &Config,
    released: &HashSet<String>,
) -> Result<Collected, Error> {
    let mut collected = Collected::default();
    let roots = || content.gc_roots().roots_without(released);
    let Some(plan) = plan(content, layers, method, config, roots)? else { return Ok(collected) };
    for spent in plan.unneeded {
        if content.gc_roots().is_spent(&spent.item, spent.age, plan.roots.since, config.grace()) {
            collected.add(&spent);
        }
    }
    Ok(collected)
}

/// Candidates of a collection.
struct Plan {
    roots: Roots,
    there: HashSet<Item>,
    /// Items to remove in this order, unless they are used meanwhile.
    unneeded: Vec<Unneeded>,
}

/// `None` when the content that the roots reach is not fully known.
fn plan(
    content: &ContentStore,
    layers: &Layers,
    method: Method,
    config: &Config,
    roots: impl FnOnce() -> Roots,
) -> Result<Option<Plan>, Error> {
    // Listed before the roots are read, so that later items are not candidates.
    let blob = |item: Item| match &item {
        Item::Blob(digest) => (item.clone(), content.layout().blob(digest)),
        Item::Layer(_) => unreachable!("blobs are listed"),
    };
    let mut candidates: Vec<_> = content.list()?.into_iter().map(blob).collect();
    candidates.extend(layers.list()?.into_iter().map(|(name, path)| (Item::Layer(name), path)));
    let there: HashSet<Item> = candidates.iter().map(|(item, _)| item.clone()).collect();
    let roots = roots();
    let marked = mark(content, method, &roots, &there);
    if !marked.is_complete {
        return Ok(None);
    }
    candidates.retain(|(item, _)| !marked.live.contains(item));
    let unneeded = candidates.into_iter().filter_map(|(item, path)| Unneeded::look(content, item, path)).collect();
    Ok(Some(Plan { roots, there, unneeded: beyond(unneeded, config.unpinned_bytes_max) }))
}

/// An item that no root reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unneeded {
    item: Item,
    path: PathBuf,
    bytes: u64,
    /// Time since its creation, by the file system's clock.
    age: Duration,
    /// Time since its last use that this process knows.
    idle: Duration,
}

impl Unneeded {
    fn look(content: &ContentStore, item: Item, path: PathBuf) -> Option<Self> {
        let meta = fs::symlink_metadata(&path).ok()?;
        let age = age(&meta);
        let bytes = if meta.is_dir() { tree_bytes(&path) } else { meta.len() };
        let idle = content.gc_roots().idle(&item).unwrap_or(age);
        Some(Self { item, path, bytes, age, idle })
    }
}

/// Items to remove so that at most `bytes_max` stay: the least recently used first. Pure.
fn beyond(mut unneeded: Vec<Unneeded>, bytes_max: u64) -> Vec<Unneeded> {
    unneeded.sort_by_key(|thing| thing.idle);
    let mut kept = 0u64;
    let goes = unneeded.iter().position(|thing| {
        kept = kept.saturating_add(thing.bytes);
        kept > bytes_max
    });
    let mut gone = goes.map_or_else(Vec::new, |first| unneeded.split_off(first));
    gone.reverse();
    gone
}

/// Bytes of all files below a directory; files that vanish meanwhile count as 0.
fn tree_bytes(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => dirs.push(entry.path()),
                Ok(meta) => bytes += meta.blocks() * 512,
                Err(_) => {}
            }
        }
    }
    bytes
}

/// Items that the roots reach.
#[derive(Default)]
struct Marked {
    live: HashSet<Item>,
    /// Whether they are complete: not when a document is unreadable and its references were never
    /// recorded.
    is_complete: bool,
}

/// Marks everything that the roots reach. For a damaged or unreadable document, the recorded
/// references are used.
fn mark(content: &ContentStore, method: Method, roots: &Roots, there: &HashSet<Item>) -> Marked {
    let mut marked = Marked { live: HashSet::new(), is_complete: true };
    for pin in &roots.pins {
        marked.live.insert(Item::Blob(pin.digest.clone()));
        let Some(reachable) = content.reachable(&pin.digest) else {
            marked.is_complete = false;
            continue;
        };
        if pin.keeps_rootfs {
            let parts = reachable.stacks.iter().flat_map(|stack| parts(method, stack, there));
            marked.live.extend(parts.map(Item::Layer));
        }
        marked.live.extend(reachable.blobs.into_iter().map(Item::Blob));
    }
    marked
}

/// Items that the root file system of a stack needs.
fn parts(method: Method, stack: &[Digest], there: &HashSet<Item>) -> Vec<LayerName> {
    let mut parts = vec![rootfs::name(method, stack)];
    if !there.contains(&Item::Layer(parts[0].clone())) {
        parts.extend(rootfs::unfolded_name(method, stack));
    }
    if method.is_erofs() {
        // Plain files do not need the tars.
        parts.extend(stack.iter().map(LayerName::tar));
    }
    parts
}

struct Sweep<'a> {
    content: &'a ContentStore,
    layers: &'a Layers,
    config: &'a Config,
    roots: &'a Roots,
    collected: Collected,
}

impl Sweep<'_> {
    fn remove(&mut self, spent: &Unneeded) -> Result<(), Error> {
        let mut retired = None;
        let gone = self.content.gc_roots().remove_if_spent(
            &spent.item,
            spent.age,
            self.roots.since,
            self.config.grace(),
            // Only renamed, since `gc_roots` is locked here.
            || self.layers.retire(&spent.path).map(|draft| retired = Some(draft)),
        )?;
        if let (true, Some(draft)) = (gone, retired) {
            match spent.item {
                Item::Blob(_) => {
                    fs::remove_file(&draft).map_err(|e| content_store::Error::io("remove", &draft, e))?;
                }
                Item::Layer(_) => {
                    fs::remove_dir_all(&draft).map_err(|e| content_store::Error::io("remove", &draft, e))?;
                }
            }
            self.collected.add(spent);
        }
        Ok(())
    }
}

/// Time since the creation of an item; after a clock was set back it counts as new.
fn age(meta: &fs::Metadata) -> Duration {
    meta.modified().ok().and_then(|made| SystemTime::now().duration_since(made).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_go_until_the_rest_fits() {
        let thing = |fill: u8, bytes, idle_s| Unneeded {
            item: Item::Blob(Digest::from_sha256(&[fill; 32])),
            path: PathBuf::new(),
            bytes,
            age: Duration::ZERO,
            idle: Duration::from_secs(idle_s),
        };
        let things = vec![thing(1, 10, 50), thing(2, 10, 5), thing(3, 10, 500)];
        let gone = |bytes_max| beyond(things.clone(), bytes_max).iter().map(|t| t.idle.as_secs()).collect::<Vec<_>>();
        assert_eq!(gone(30), Vec::<u64>::new());
        assert_eq!(gone(29), [500]);
        assert_eq!(gone(19), [500, 50]);
        assert_eq!(gone(0), [500, 50, 5]);
        assert!(beyond(Vec::new(), 0).is_empty());
    }
}
