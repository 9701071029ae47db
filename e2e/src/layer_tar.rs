//! Writes layer tars entry by entry.

use std::path::Path;

use anyhow::Context;
use tar::{Builder, EntryType, Header};

/// Modification time of every entry in seconds, so that equal entries make equal layers.
const MTIME_S: u64 = 1_700_000_000;

/// A layer's tar being written.
pub struct LayerTar(Builder<Vec<u8>>);

impl Default for LayerTar {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerTar {
    /// An empty tar.
    pub fn new() -> Self {
        let mut builder = Builder::new(Vec::new());
        builder.follow_symlinks(false);
        Self(builder)
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> anyhow::Result<&mut Self> {
        let mut header = header(EntryType::Regular, mode);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content).with_context(|| format!("cannot add {path}"))?;
        Ok(self)
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &str) -> anyhow::Result<&mut Self> {
        let mut header = header(EntryType::Directory, 0o755);
        self.0.append_data(&mut header, path, &[][..]).with_context(|| format!("cannot add {path}"))?;
        Ok(self)
    }

    /// Adds a directory with an owner.
    pub fn directory_of(&mut self, path: &str, mode: u32, (uid, gid): (u64, u64)) -> anyhow::Result<&mut Self> {
        let mut header = header(EntryType::Directory, mode);
        header.set_uid(uid);
        header.set_gid(gid);
        self.0.append_data(&mut header, path, &[][..]).with_context(|| format!("cannot add {path}"))?;
        Ok(self)
    }

    /// Adds a file with an extended attribute.
    pub fn file_with(&mut self, path: &str, content: &[u8], attribute: (&str, &[u8])) -> anyhow::Result<&mut Self> {
        let key = format!("SCHILY.xattr.{}", attribute.0);
        self.0.append_pax_extensions([(key.as_str(), attribute.1)]).with_context(|| format!("cannot add {path}"))?;
        self.file(path, 0o755, content)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) -> anyhow::Result<&mut Self> {
        let mut header = header(EntryType::Symlink, 0o777);
        self.0.append_link(&mut header, path, target).with_context(|| format!("cannot add {path}"))?;
        Ok(self)
    }

    /// Adds a hard link.
    pub fn link(&mut self, path: &str, target: &str) -> anyhow::Result<&mut Self> {
        let mut header = header(EntryType::Link, 0o644);
        self.0.append_link(&mut header, path, target).with_context(|| format!("cannot add {path}"))?;
        Ok(self)
    }

    /// Adds a whiteout of a path.
    pub fn remove(&mut self, path: &str) -> anyhow::Result<&mut Self> {
        let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
        let slash = if folder.is_empty() { "" } else { "/" };
        self.file(&format!("{folder}{slash}.wh.{name}"), 0o644, b"")
    }

    /// Adds an entry with equal user and group id; a directory when its path ends with a slash.
    pub fn owned(&mut self, path: &str, mode: u32, owner: u64, content: &[u8]) -> anyhow::Result<&mut Self> {
        let kind = if path.ends_with('/') { EntryType::Directory } else { EntryType::Regular };
        let mut header = header(kind, mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content).with_context(|| format!("cannot add {path}"))?;
        Ok(self)
    }

    /// Adds an entry with a name that the `tar` crate rejects.
    pub fn unchecked(
        &mut self,
        name: &str,
        kind: EntryType,
        target: &str,
        content: &[u8],
    ) -> anyhow::Result<&mut Self> {
        let mut header = header(kind, 0o644);
        header.set_size(content.len() as u64);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, content).with_context(|| format!("cannot add {name}"))?;
        Ok(self)
    }

    /// Adds a folder of this machine below a path.
    pub fn folder(&mut self, path: &str, folder: &Path) -> anyhow::Result<&mut Self> {
        self.0.append_dir_all(path, folder).with_context(|| format!("cannot add {}", folder.display()))?;
        Ok(self)
    }

    /// The bytes of the tar.
    pub fn finish(self) -> anyhow::Result<Vec<u8>> {
        self.0.into_inner().context("cannot end the tar")
    }
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(MTIME_S);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

/// A layer with the static server as `/hello`.
pub fn hello() -> anyhow::Result<Vec<u8>> {
    let program = crate::tools::hello();
    let content = std::fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut tar = LayerTar::new();
    tar.file("hello", 0o755, &content)?;
    tar.finish()
}
