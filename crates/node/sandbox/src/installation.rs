//! The id of an installation, which names everything that the platform has in the kernel: cgroups,
//! links, packet rules, its block of addresses.
//!
//! ```text
//! <dir>/id    "<id, 16 hexadecimal digits> <device> <inode>
//! "
//! ```
//! Device and inode are the directory's own. A moved directory keeps them, so that the next start
//! finds what a killed platform left. A copied one has others: it gets another id, and never cleans
//! up after its original. A path identifies neither: containers with the same path each have a
//! directory of their own, and share one kernel (decision 39).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::Error;

const FILE_NAME: &str = "id";
/// Source of random ids.
const RANDOM: &str = "/dev/urandom";

/// The directory that an id was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    device: u64,
    inode: u64,
}

/// Returns the id of the directory. Creates and writes one if there is none, or if it belongs to
/// another directory.
pub fn id(dir: &Path) -> Result<u64, Error> {
    let meta = fs::metadata(dir).map_err(Error::path("look at", dir))?;
    let here = Place { device: meta.dev(), inode: meta.ino() };
    let file = dir.join(FILE_NAME);
    match fs::read_to_string(&file) {
        Ok(text) => match parse(&text) {
            Some((id, place)) if place == here => return Ok(id),
            Some(_) => {
                tracing::info!(dir = %dir.display(), "the data directory is a copy; assigning it a new installation id")
            }
            None => tracing::warn!(file = %file.display(), "the installation's id is damaged; assigning a new one"),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Error::path("read", &file)(error)),
    }
    let id = random().map_err(Error::path("read", RANDOM))?;
    write(dir, &file, &format!("{id:016x} {} {}\n", here.device, here.inode)).map_err(Error::path("write", &file))?;
    Ok(id)
}

/// The id that earlier versions derived from the path, if one of them used the directory and no id
/// was stored since.
pub fn id_by_path(dir: &Path) -> Option<u64> {
    let was_used = dir.join("stage").exists() && !dir.join(FILE_NAME).exists();
    // FNV-1a.
    let hash = |path: &Path| {
        let bytes = path.as_os_str().as_bytes();
        bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    };
    dir.canonicalize().ok().filter(|_| was_used).map(|path| hash(&path))
}

fn parse(text: &str) -> Option<(u64, Place)> {
    let mut words = text.split_whitespace();
    let id = words.next().filter(|word| word.len() == 16).and_then(|word| u64::from_str_radix(word, 16).ok())?;
    let (device, inode) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((id, Place { device, inode }))
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open(RANDOM)?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Writes beside the file and renames: a crash leaves the old id or the new one.
fn write(dir: &Path, file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut to = File::create(&beside)?;
    to.write_all(text.as_bytes())?;
    to.sync_all()?;
    fs::rename(&beside, file)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_directory_keeps_its_id_and_a_copied_one_gets_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("first")).expect("made");
        let first = id(&at("first")).expect("an id");
        assert_eq!(id(&at("first")).expect("the same"), first);
        fs::rename(at("first"), at("moved")).expect("moved");
        assert_eq!(id(&at("moved")).expect("the same"), first);

        fs::create_dir(at("copy")).expect("made");
        fs::copy(at("moved").join(FILE_NAME), at("copy").join(FILE_NAME)).expect("copied");
        let copy = id(&at("copy")).expect("an id");
        assert_ne!(copy, first);
        assert_eq!((id(&at("copy")).expect("the same"), id(&at("moved")).expect("the same")), (copy, first));
        // Another directory at the path of the first.
        fs::create_dir(at("first")).expect("made");
        assert_ne!(id(&at("first")).expect("an id"), first);
    }

    #[test]
    fn a_damaged_id_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        for text in ["", "af63dc4c8601ec8c", "x 1 2", "af63dc4c8601ec8c 1"] {
            fs::write(folder.path().join(FILE_NAME), text).expect("written");
            let made = id(folder.path()).expect("an id");
            assert_eq!(id(folder.path()).expect("the same"), made);
        }
    }

    #[test]
    fn what_an_older_version_left_is_known_by_the_path_once() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(id_by_path(folder.path()), None, "a new directory");
        fs::create_dir(folder.path().join("stage")).expect("made");
        assert!(id_by_path(folder.path()).is_some());
        id(folder.path()).expect("an id");
        assert_eq!(id_by_path(folder.path()), None);
    }
}
