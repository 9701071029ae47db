//! Probes which method of creating a root file system this kernel supports.

use std::fs;
use std::io;
use std::path::Path;

use erofs::{Device, Entry, Extent, Kind, Limits, Meta, Tree};

use crate::method::{Method, RootfsMode};
use crate::mount::{self, Mounted};

/// Finds the best method that works for files in `drafts`, with mounts below `mounts`. Test files
/// and mounts are removed.
///
/// # Errors
/// The kernel's, of the last trial, when a configured method does not work.
pub fn choose(mode: RootfsMode, drafts: &Path, mounts: &Path) -> io::Result<Method> {
    let works = |method: Method| trial(method, drafts, mounts).map(|()| method);
    let on_files = || works(Method::Erofs { detached: true }).or_else(|_| works(Method::Erofs { detached: false }));
    match mode {
        RootfsMode::Erofs => on_files(),
        RootfsMode::ErofsLoop => works(Method::ErofsLoop),
        RootfsMode::Files => Ok(Method::Files),
        RootfsMode::Auto => on_files().or_else(|_| works(Method::ErofsLoop)).or(Ok(Method::Files)),
    }
}

/// The method on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The method that will be used.
    pub found: String,
    /// What the best method requires; empty when it is available.
    pub remedy: String,
}

/// Finds the method for root file systems in `dir`, an existing writable directory. Test files and
/// mounts are removed.
///
/// # Errors
/// The directory cannot be written.
pub fn doctor(dir: &Path) -> io::Result<Check> {
    let trials = dir.join(format!("doctor-{}", uuid::Uuid::new_v4().as_simple()));
    fs::create_dir(&trials)?;
    let method = choose(RootfsMode::Auto, &trials, &trials);
    fs::remove_dir_all(&trials)?;
    let remedy = match method.as_ref().unwrap_or(&Method::Files) {
        Method::Erofs { .. } => "",
        Method::ErofsLoop => {
            "EROFS on loop devices is used; Linux 6.12 and a data directory on ext4, xfs or btrfs need none"
        }
        Method::Files => "each image is written out as plain files; a kernel with EROFS (Linux 5.19) prepares faster",
    };
    Ok(Check { found: method.unwrap_or(Method::Files).to_string(), remedy: remedy.to_owned() })
}

/// Mounts a file system of one file and reads it.
fn trial(method: Method, drafts: &Path, mounts: &Path) -> io::Result<()> {
    const CONTENT: &[u8] = b"a file system of one file";
    let dir = drafts.join(format!("trial-{}", uuid::Uuid::new_v4().as_simple()));
    fs::create_dir(&dir)?;
    let tried = (|| {
        let kind = Kind::File { size: CONTENT.len() as u64, data: Some(Extent { device: 0, offset: 0 }) };
        let mut tree = Tree::new(Limits { entries_max: 16, xattr_bytes_max: 0 });
        let entry = Entry { path: b"file".to_vec(), kind, meta: Meta { mode: 0o644, ..Meta::default() } };
        tree.apply(vec![entry], &[0]).map_err(io::Error::other)?;
        let device = Device { tag: "trial".to_owned(), bytes: erofs::BLOCK_BYTES };
        let image = erofs::write(&tree, std::slice::from_ref(&device)).map_err(io::Error::other)?;
        let (metadata, data) = (dir.join("metadata"), dir.join("data"));
        let block = usize::try_from(erofs::BLOCK_BYTES).expect("a small number");
        let mut content = CONTENT.to_vec();
        content.resize(block, 0);
        fs::write(&metadata, image)?;
        fs::write(&data, content)?;
        let mounted = Mounted::erofs(method, &metadata, &[data], mounts)?;
        if method == (Method::Erofs { detached: true }) {
            mount::copy(mounted.path())?;
        }
        let read = fs::read(mounted.path().join("file"))?;
        if read == CONTENT { Ok(()) } else { Err(io::Error::other("EROFS shows other bytes than were written")) }
    })();
    fs::remove_dir_all(&dir)?;
    tried
}
