//! Resolves a path to a directory, through symbolic links that never lead out of the root.
//! Read-only access to the tree.

use std::collections::HashSet;

use super::inodes::{InodeId, Inodes, ROOT};
use crate::entry::Kind;
use crate::error::{Error, shown};
use crate::path;

/// Symbolic links that one path may follow, as in Linux (`MAXSYMLINKS`).
pub const LINK_HOPS_MAX: u32 = 40;

/// Directory steps caused by symbolic links that all paths of an image together may take. A real
/// image has a few for each entry; a hostile one could have a hundred thousand and keep a thread
/// busy for hours.
pub const LINK_STEPS_MAX: u64 = 16 << 20;

/// Resolves paths, and counts the steps.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    steps: u64,
}

/// Result of resolving a path.
#[derive(Debug)]
pub(crate) enum Way {
    /// An existing directory.
    There(InodeId),
    /// A directory that can be created: these names below the last one that exists.
    Missing { from: InodeId, names: Vec<Box<[u8]>> },
    /// A component is not a directory; it is at the path's first `by` bytes.
    Blocked { by: usize },
}

/// A path that follows too many symbolic links.
#[derive(Debug)]
pub(crate) enum Circle {
    Hops,
    Steps,
}

impl Circle {
    /// The error, for the entry whose path is followed.
    pub(crate) fn error(self, path: &[u8]) -> Error {
        match self {
            Self::Hops => Error::LinkHops { path: shown(path), max: LINK_HOPS_MAX },
            Self::Steps => Error::LinkSteps { path: shown(path), max: LINK_STEPS_MAX },
        }
    }
}

impl Resolver {
    /// Resolves `path` from the root. A link at one of the `replaced` paths blocks it.
    pub(crate) fn resolve(
        &mut self,
        inodes: &Inodes,
        path: &[u8],
        replaced: &HashSet<Box<[u8]>>,
    ) -> Result<Way, Circle> {
        // Unresolved rests: of the path, and of each link that is being followed; innermost last.
        let mut rests = vec![path];
        let mut at = ROOT;
        let mut missing: Vec<&[u8]> = Vec::new();
        let mut hops = 0;
        while let Some(rest) = rests.last_mut() {
            let Some(name) = path::next_part(rest) else {
                rests.pop();
                continue;
            };
            if rests.len() > 1 {
                self.step()?;
            }
            if step_in_place(inodes, name, &mut at, &mut missing) {
                continue;
            }
            let Some(found) = inodes.lookup(at, name) else {
                missing.push(name);
                continue;
            };
            match inodes.get(found).kind() {
                Kind::Directory => at = found,
                Kind::Symlink { target } => {
                    let gone = consumed(path, rests[0]);
                    if rests.len() == 1 && replaced.contains(&path[..gone]) {
                        return Ok(Way::Blocked { by: gone });
                    }
                    hops += 1;
                    if hops > LINK_HOPS_MAX {
                        return Err(Circle::Hops);
                    }
                    if target.starts_with(b"/") {
                        at = ROOT;
                    }
                    rests.push(target);
                }
                _ => return Ok(Way::Blocked { by: consumed(path, rests[0]) }),
            }
        }
        if missing.is_empty() {
            return Ok(Way::There(at));
        }
        Ok(Way::Missing { from: at, names: missing.into_iter().map(Box::from).collect() })
    }

    fn step(&mut self) -> Result<(), Circle> {
        self.steps += 1;
        if self.steps > LINK_STEPS_MAX { Err(Circle::Steps) } else { Ok(()) }
    }
}

/// Takes the steps that need no lookup: to the same directory, to its parent, or below a missing
/// one.
fn step_in_place<'a>(inodes: &Inodes, name: &'a [u8], at: &mut InodeId, missing: &mut Vec<&'a [u8]>) -> bool {
    match name {
        b"" | b"." => true,
        b".." => {
            if missing.pop().is_none() {
                *at = inodes.parent(*at).unwrap_or(ROOT);
            }
            true
        }
        _ if missing.is_empty() => false,
        _ => {
            missing.push(name);
            true
        }
    }
}

/// Bytes of `path` before `rest`, without the `/` between.
fn consumed(path: &[u8], rest: &[u8]) -> usize {
    let gone = path.len() - rest.len();
    if rest.is_empty() { gone } else { gone - 1 }
}
