//! A second, simple implementation of the merge rules: a map from whole paths to inodes. Slow, and
//! without shared code with the tree.

use std::collections::{BTreeMap, HashSet, VecDeque};

use erofs::{Entry, Extent, Kind, Meta};

use super::layers;

/// The file at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub kind: Kind,
    pub meta: Meta,
    pub links: u32,
    /// The first path of the same inode.
    pub first: Vec<u8>,
}

/// A root file system.
#[derive(Debug, Clone)]
pub struct Model {
    names: BTreeMap<Vec<u8>, usize>,
    inodes: Vec<(Kind, Meta)>,
}

/// The layer cannot be applied.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

/// A component that is being followed, and the path up to and including it, if it is of the path
/// itself.
type Part = (Vec<u8>, Option<Vec<u8>>);

impl Model {
    pub fn new() -> Self {
        let root = (Kind::Directory, Meta { mode: 0o755, ..Meta::default() });
        Self { names: BTreeMap::from([(Vec::new(), 0)]), inodes: vec![root] }
    }

    /// The visible files, by path.
    pub fn list(&self) -> BTreeMap<Vec<u8>, Item> {
        let shown = self.names.iter().map(|(path, inode)| {
            let (kind, meta) = self.inodes[*inode].clone();
            let below = |path: &[u8], other: &[u8]| split(other).is_some_and(|(parent, _)| parent == path);
            let links = if kind == Kind::Directory {
                2 + self.names.iter().filter(|(p, i)| below(path, p) && self.inodes[**i].0 == Kind::Directory).count()
            } else {
                self.names.values().filter(|i| *i == inode).count()
            };
            let first = self.names.iter().find(|(_, i)| *i == inode).expect("at least this").0.clone();
            (path.clone(), Item { kind, meta, links: u32::try_from(links).expect("few links"), first })
        });
        shown.filter(|(_, item)| item.kind != Kind::CharDevice { major: 0, minor: 0 }).collect()
    }

    pub fn apply(&mut self, layer: &[Entry], places: &[u16]) -> Result<(), Refused> {
        let made: HashSet<_> = layer.iter().filter(|e| e.kind == Kind::Directory).map(|e| e.path.clone()).collect();
        for entry in layer {
            let (parent, name) = match entry.kind {
                Kind::Whiteout => split(&entry.path).map(|(p, n)| (p, Some(n))).ok_or(Refused)?,
                Kind::Opaque => (&entry.path[..], None),
                _ => continue,
            };
            if parent.split(|b| *b == b'/').any(|part| part == b"..") || name == Some(b"..") {
                return Err(Refused);
            }
            let Some(parent) = self.follow(parent, &made)?.filter(|p| self.kind(p) == Some(&Kind::Directory)) else {
                continue;
            };
            match name {
                Some(name) => self.remove(&join(&parent, name)),
                None => self.names.retain(|path, _| path == &parent || !is_below(&parent, path)),
            }
        }
        layer.iter().filter(|e| !matches!(e.kind, Kind::Whiteout | Kind::Opaque)).try_for_each(|e| self.put(e, places))
    }

    fn put(&mut self, entry: &Entry, places: &[u16]) -> Result<(), Refused> {
        if entry.path.split(|b| *b == b'/').any(|part| part == b"..") {
            return Err(Refused);
        }
        let Some((parent, name)) = split(&entry.path) else {
            self.inodes[0].1 = kept(entry);
            return if entry.kind == Kind::Directory { Ok(()) } else { Err(Refused) };
        };
        let parent = self.follow(parent, &HashSet::new())?.ok_or(Refused)?;
        self.make(&parent)?;
        let path = join(&parent, name);
        let inode = match &entry.kind {
            Kind::HardLink { target } => self.linked(target)?,
            Kind::Directory if self.kind(&path) == Some(&Kind::Directory) => {
                let inode = self.names[&path];
                self.inodes[inode].1 = kept(entry);
                return Ok(());
            }
            kind => {
                self.inodes.push((sound(kind, places)?, kept(entry)));
                self.inodes.len() - 1
            }
        };
        self.remove(&path);
        self.names.insert(path, inode);
        Ok(())
    }

    fn linked(&self, target: &[u8]) -> Result<usize, Refused> {
        if target.split(|b| *b == b'/').any(|part| part == b"..") {
            return Err(Refused);
        }
        let (parent, name) = split(target).ok_or(Refused)?;
        let parent = self.follow(parent, &HashSet::new())?.ok_or(Refused)?;
        let inode = *self.names.get(&join(&parent, name)).ok_or(Refused)?;
        if self.inodes[inode].0 == Kind::Directory { Err(Refused) } else { Ok(inode) }
    }

    /// The target of a path, whether it exists or not; `None` if a component is not a directory.
    fn follow(&self, path: &[u8], made: &HashSet<Vec<u8>>) -> Result<Option<Vec<u8>>, Refused> {
        let mut gone = Vec::new();
        let own = path.split(|b| *b == b'/').filter(|part| !part.is_empty()).map(|part| {
            gone = join(&gone, part);
            (part.to_vec(), Some(gone.clone()))
        });
        let mut parts: VecDeque<Part> = own.collect();
        let (mut at, mut hops) = (Vec::new(), 0);
        while let Some((part, own)) = parts.pop_front() {
            match &part[..] {
                b"" | b"." => continue,
                b".." => {
                    at = split(&at).map_or(Vec::new(), |(parent, _)| parent.to_vec());
                    continue;
                }
                _ => {}
            }
            let next = join(&at, &part);
            match self.kind(&next) {
                None | Some(Kind::Directory) => at = next,
                Some(Kind::Symlink { .. }) if own.is_some_and(|own| made.contains(&own)) => return Ok(None),
                Some(Kind::Symlink { target }) => {
                    hops += 1;
                    if hops > 40 {
                        return Err(Refused);
                    }
                    if target[0] == b'/' {
                        at.clear();
                    }
                    for part in target.split(|b| *b == b'/').rev() {
                        parts.push_front((part.to_vec(), None));
                    }
                }
                Some(_) => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Creates the missing directories up to `path`.
    fn make(&mut self, path: &[u8]) -> Result<(), Refused> {
        let mut at = Vec::new();
        for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
            at = join(&at, part);
            if !self.names.contains_key(&at) {
                if part.len() > 255 {
                    return Err(Refused);
                }
                self.inodes.push((Kind::Directory, Meta { mode: 0o755, ..Meta::default() }));
                self.names.insert(at.clone(), self.inodes.len() - 1);
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) {
        self.names.retain(|other, _| other != path && !is_below(path, other));
    }

    fn kind(&self, path: &[u8]) -> Option<&Kind> {
        self.names.get(path).map(|inode| &self.inodes[*inode].0)
    }
}

/// The layers generated from `bytes`, without the entries that cannot be applied, and the first of
/// those with its layer.
pub fn sound_layers(bytes: &[u8]) -> (Vec<Vec<Entry>>, Option<(usize, Entry)>) {
    let (mut model, mut refused) = (Model::new(), None);
    let mut sound = Vec::new();
    for (n, layer) in layers::layers(bytes).into_iter().enumerate() {
        let mut kept: Vec<Entry> = Vec::new();
        for entry in layer {
            kept.push(entry);
            if model.clone().apply(&kept, &layers::places(n)).is_err() {
                let entry = kept.pop().expect("just pushed");
                // Only entries that are invalid by themselves are reported, not those made invalid
                // by others of the layer.
                if refused.is_none() && kept.is_empty() {
                    refused = Some((n, entry));
                }
            }
        }
        model.apply(&kept, &layers::places(n)).expect("tried before");
        sound.push(kept);
    }
    (sound, refused)
}

fn sound(kind: &Kind, places: &[u16]) -> Result<Kind, Refused> {
    match kind {
        Kind::File { size: 0, .. } => Ok(Kind::File { size: 0, data: None }),
        Kind::File { size, data: Some(data) } => {
            let device = *places.get(usize::from(data.device)).ok_or(Refused)?;
            Ok(Kind::File { size: *size, data: Some(Extent { device, offset: data.offset }) })
        }
        Kind::Symlink { target } if target.is_empty() => Err(Refused),
        Kind::BlockDevice { major, .. } if *major > 4095 => Err(Refused),
        _ => Ok(kind.clone()),
    }
}

/// The metadata with the kept attributes, by a table of those that `layers` generates.
fn kept(entry: &Entry) -> Meta {
    let (file, directory) = (matches!(entry.kind, Kind::File { .. }), entry.kind == Kind::Directory);
    let link = matches!(entry.kind, Kind::Symlink { .. });
    let xattrs: BTreeMap<_, _> = entry.meta.xattrs.iter().cloned().collect();
    let stays = |name: &[u8]| match name {
        b"user.a" => file || directory,
        b"trusted.a" | b"security.capability" => true,
        b"system.posix_acl_access" => !link,
        b"system.posix_acl_default" => directory,
        _ => false,
    };
    Meta { xattrs: xattrs.into_iter().filter(|(name, _)| stays(name)).collect(), ..entry.meta.clone() }
}

fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = path.iter().rposition(|b| *b == b'/');
    match start {
        _ if path.is_empty() => None,
        None => Some((b"", path)),
        Some(at) => Some((&path[..at], &path[at + 1..])),
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

fn is_below(dir: &[u8], path: &[u8]) -> bool {
    !path.is_empty() && (dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/")))
}
