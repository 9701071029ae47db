//! Opens directories by name: no link, no `..` and no other file system on the path leads
//! elsewhere.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, fstat, mkdirat, openat2, statat};
use rustix::io::Errno;
use types::Mount;

use crate::error::Error;

/// A directory, opened with `O_PATH`.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Paths within one directory and its file system.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_XDEV).union(ResolveFlags::NO_MAGICLINKS);
/// Paths without any link.
const PLAIN: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);

/// Mode of created directories.
const MADE_MODE: Mode = Mode::from_raw_mode(0o755);

/// Opens a volume's directory; no component of its path may be a link.
pub fn volume(path: &Path) -> Result<OwnedFd, Error> {
    openat2(CWD, path, DIRECTORY, Mode::empty(), PLAIN).map_err(|errno| unusable(path, errno))
}

/// Finds the directory of a volume below one of the roots, and creates missing components, the last
/// one for this owner. Returns its path without links of the root's.
pub fn below_roots(path: &Path, roots: &[PathBuf], owner: u32) -> Result<PathBuf, Error> {
    let below = roots.iter().filter_map(|root| Some((root, path.strip_prefix(root).ok()?)));
    // A file system that is mounted below a root is a root of its own: the nearest one is used.
    let Some((root, rest)) = below.max_by_key(|(root, _)| root.components().count()) else {
        let roots = match roots {
            [] => "none are set".to_owned(),
            roots => roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", "),
        };
        return Err(Error::OutsideRoots { path: path.to_owned(), roots });
    };
    let real = root.canonicalize().map_err(Error::io("find the directory of [volumes] roots", root))?;
    let top = volume(&real)?;
    let names: Vec<_> = rest.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let rest = names.join("/");
    if rest.is_empty() {
        return Ok(real);
    }
    let found = match beneath(&top, &rest) {
        Err(Errno::NOENT) => make(&top, &rest, (owner, owner)),
        found => found,
    };
    let found = found.map_err(|errno| unusable(path, errno))?;
    // The directory may have been found through a link inside the root, so its actual path is
    // returned. Resolving the given path again could lead to another directory, because functions
    // may write to directories above it.
    let own = path_of(&found).map_err(Error::io("find", path))?;
    if own.starts_with(&real) { Ok(own) } else { Err(unusable(path, Errno::XDEV)) }
}

/// Path of an open directory.
fn path_of(dir: &OwnedFd) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

/// Opens a directory of a volume, and creates it if it is missing and may be created.
pub fn sub(volume: &OwnedFd, mount: &Mount, may_make: bool) -> Result<OwnedFd, Error> {
    let found = match beneath(volume, &mount.sub) {
        Err(Errno::NOENT) if may_make => make(volume, &mount.sub, (mount.user_id, mount.group_id)),
        other => other,
    };
    found.map_err(|errno| Error::Sub { name: mount.volume.clone(), sub: mount.sub.clone(), problem: of_way(errno) })
}

fn beneath(dir: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    openat2(dir, path, DIRECTORY, Mode::empty(), BENEATH)
}

/// Creates missing components of a path, the last one for this owner.
fn make(top: &OwnedFd, path: &str, owner: (u32, u32)) -> Result<OwnedFd, Errno> {
    let mut at = openat2(top, ".", DIRECTORY, Mode::empty(), BENEATH)?;
    let mut so_far = String::new();
    for name in path.split('/') {
        so_far = if so_far.is_empty() { name.to_owned() } else { format!("{so_far}/{name}") };
        // From the top again, so that the path may contain a link inside it.
        at = match beneath(top, &so_far) {
            Err(Errno::NOENT) => make_one(&at, name, owner)?,
            other => other?,
        };
    }
    Ok(at)
}

/// Creates a directory. A process with write access to the parent may replace it: ownership is only
/// given to an empty directory of root without a mode, which cannot belong to another user yet.
fn make_one(at: &OwnedFd, name: &str, (user, group): (u32, u32)) -> Result<OwnedFd, Errno> {
    match mkdirat(at, name, Mode::empty()) {
        Ok(()) => {}
        // A concurrent start has created it.
        Err(Errno::EXIST) => return beneath(at, name),
        Err(errno) => return Err(errno),
    }
    let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat2(at, name, readable, Mode::empty(), BENEATH)?;
    let stat = fstat(&made)?;
    if (stat.st_uid, stat.st_mode & 0o7777, stat.st_nlink.min(2)) == (0, 0, stat.st_nlink) {
        fchown(&made, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        fchmod(&made, MADE_MODE)?;
    }
    beneath(at, name)
}

/// Opens the platform's directory in a file system, and creates it for this owner if it is missing.
pub fn data(root: &OwnedFd, name: &str, owner: u32) -> Result<OwnedFd, Errno> {
    match beneath(root, name) {
        Err(Errno::NOENT) => make(root, name, (owner, owner)),
        other => other,
    }
}

/// User, group and mode of a directory.
pub fn owner(dir: &impl AsFd) -> Result<(u32, u32, u32), Errno> {
    let stat = statat(dir, "", AtFlags::EMPTY_PATH)?;
    Ok((stat.st_uid, stat.st_gid, stat.st_mode & 0o7777))
}

fn unusable(path: &Path, errno: Errno) -> Error {
    Error::Unusable { path: path.to_owned(), problem: of_way(errno) }
}

/// Describes the obstacle on a directory's path.
fn of_way(errno: Errno) -> String {
    match errno {
        Errno::NOENT => "it is not there; make the directory".to_owned(),
        Errno::XDEV => "it leads out of its folder, or onto another file system; name a directory that is in it, and \
                        add the other file system's to [volumes] roots"
            .to_owned(),
        Errno::LOOP => "a part of its path is a symbolic link; name the directory itself".to_owned(),
        Errno::NOTDIR => "it is not a directory".to_owned(),
        other => std::io::Error::from(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use rustix::fs::{RenameFlags, renameat_with};

    use super::*;

    fn mount(sub: &str) -> Mount {
        Mount { sub: sub.to_owned(), user_id: 20_000, ..Mount::new("data", "", "/data", false).expect("valid") }
    }

    #[test]
    fn a_directory_of_a_volume_is_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("in/side")).expect("made");
        symlink("in", folder.path().join("link")).expect("made");
        symlink("/etc", folder.path().join("absolute")).expect("made");
        symlink("../..", folder.path().join("up")).expect("made");
        symlink("/proc/self/root", folder.path().join("magic")).expect("made");
        fs::write(folder.path().join("file"), "x").expect("written");
        let top = volume(&folder.path().canonicalize().expect("there")).expect("opened");
        for found in ["in", "in/side", "link/side", "in/../in"] {
            assert!(sub(&top, &mount(found), false).is_ok(), "{found}");
        }
        for (refused, why) in [
            ("absolute", "leads out"),
            ("up", "leads out"),
            ("..", "leads out"),
            ("in/../../..", "leads out"),
            ("magic", "leads out"),
            ("file", "not a directory"),
            ("missing", "not there"),
        ] {
            let error = sub(&top, &mount(refused), false).expect_err(refused).to_string();
            assert!(error.contains(why), "{refused}: {error}");
        }
        assert!(sub(&top, &mount("absolute/new"), true).is_err() && !Path::new("/etc/new").exists());
        sub(&top, &mount("new/two"), true).expect("made");
        let made = fs::metadata(folder.path().join("new/two")).expect("there");
        assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (20_000, 10_000, 0o755));
    }

    #[test]
    fn a_volume_is_below_a_root() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("made");
        symlink("/etc", root.join("out")).expect("made");
        let roots = [root.clone()];
        let found = below_roots(&root.join("a/b"), &roots, 10_000).expect("made");
        assert_eq!(found, root.join("a/b").canonicalize().expect("there"));
        assert_eq!(fs::metadata(&found).expect("there").uid(), 10_000);
        assert!(below_roots(&root, &roots, 10_000).is_ok());
        assert!(matches!(below_roots(Path::new("/etc"), &roots, 1), Err(Error::OutsideRoots { .. })));
        assert!(matches!(below_roots(Path::new("/etc"), &[], 1), Err(Error::OutsideRoots { .. })));
        let beside = PathBuf::from(format!("{}2", root.display()));
        assert!(matches!(below_roots(&beside, &roots, 1), Err(Error::OutsideRoots { .. })));
        assert!(below_roots(&root.join("out"), &roots, 1).is_err());
        assert!(volume(&root.join("out")).is_err(), "a link put there later is not followed");
        let nested = [root.clone(), root.join("out")];
        let found = below_roots(&root.join("out"), &nested, 10_000).expect("a root of its own");
        assert_eq!(found, Path::new("/etc"), "the nearest root counts, whatever the other one says of it");
    }

    #[test]
    fn a_link_that_is_swapped_while_a_directory_is_looked_up_leads_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        let (path, aside) = (root.join("a/b"), root.join("a/c"));
        fs::create_dir_all(&path).expect("made");
        symlink("/etc", &aside).expect("made");
        let swap = || renameat_with(CWD, &path, CWD, &aside, RenameFlags::EXCHANGE).expect("swapped");
        std::thread::scope(|scope| {
            let swapping = scope.spawn(|| (0..40_000).for_each(|_| swap()));
            while !swapping.is_finished() {
                if let Ok(found) = below_roots(&path, std::slice::from_ref(&root), 10_000) {
                    assert!(found.starts_with(&root), "{}", found.display());
                }
            }
        });
    }
}
