//! Places of the platform's `/etc` files in an instance, and whether the image allows them in the
//! writable layer from the start.

use rustix::fs::FileType;
use sys::init::spec::Placement;

use super::merged::{Kind, Merged, Place, has_no_attributes};
use super::{DIR_MODE, Dir, ROOT, Target, is_kernels};

/// The directory.
const DIR: &str = "etc";
/// Names of the files.
pub(crate) const NAMES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// Places of the files.
#[derive(Debug)]
pub(crate) struct Etc {
    /// Directories to create for them.
    pub dirs: Vec<Dir>,
    /// Their places, in the order of [`NAMES`]; `None` where the image has a directory, or no file
    /// can be created.
    pub files: [Option<Target>; 3],
    /// How they are placed.
    pub placement: Placement,
}

impl Etc {
    /// Places in a root with a mount at `tmp`, if any.
    pub fn of(root: &Merged, tmp: Option<&Place>) -> Self {
        if let Some(mode) = ahead(root) {
            let target = |parent: &str, name: &str| Target { parent: parent.into(), name: name.into() };
            let dir = Dir { target: target("", DIR), mode, owner: ROOT };
            let files = NAMES.map(|name| Some(target(DIR, name)));
            return Self { dirs: vec![dir], files, placement: Placement::WritableLayer };
        }
        let is_covered =
            |place: &Place| is_kernels(place) || tmp.is_some_and(|tmp| place == tmp || place.below(tmp).is_some());
        let places = NAMES.map(|name| place(root, name, is_covered));
        let mut dirs: Vec<Dir> = Vec::new();
        for parent in places.iter().flatten().filter_map(Place::parent) {
            for dir in parent.missing().filter_map(|dir| Dir::of(&dir, ROOT)) {
                if !dirs.contains(&dir) {
                    dirs.push(dir);
                }
            }
        }
        let files = places.map(|place| place.as_ref().and_then(Target::of));
        Self { dirs, files, placement: Placement::Root }
    }
}

/// Resolves a name: a dangling link is followed in the root. A link to a file of the image, which
/// programs may know by its own name, to anything but a file, or below a mount, is replaced by the
/// file.
fn place(root: &Merged, name: &str, is_covered: impl Fn(&Place) -> bool) -> Option<Place> {
    let dir = root.resolve(DIR.as_bytes()).ok()?;
    if !matches!(dir.kind(), Kind::Directory | Kind::Missing) || is_covered(&dir) {
        return None;
    }
    let itself = dir.child(name.as_bytes());
    match root.resolve(format!("{DIR}/{name}").as_bytes()) {
        Ok(place) if place.kind() == Kind::Directory && place.path() == itself.path() => None,
        Ok(place) if place.kind() == Kind::Missing && !is_covered(&place) => Some(place),
        _ => Some(itself),
    }
}

/// The mode of the directory, if a new one can replace the image's without a visible difference:
/// owned by root, without extended attributes, and with nothing or plain files in the places of
/// these names.
fn ahead(root: &Merged) -> Option<u32> {
    // With several layers, the overlay decides what is visible.
    let layer = root.only()?;
    let Some(found) = root.stat_at(DIR) else { return Some(DIR_MODE) };
    let kind = |mode| FileType::from_raw_mode(mode);
    let is_roots = kind(found.st_mode) == FileType::Directory && found.st_uid == 0 && found.st_gid == 0;
    let is_plain = |name: &&str| {
        let file = root.stat_at(&format!("{DIR}/{name}"));
        file.is_none_or(|file| kind(file.st_mode) == FileType::RegularFile)
    };
    let plain = is_roots && has_no_attributes(layer, DIR.as_bytes()) && NAMES.iter().all(is_plain);
    plain.then_some(found.st_mode & 0o7777)
}
