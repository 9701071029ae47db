//! Layers with every kind of entry, valid and hostile, are indexed, merged, and written to
//! temporary directories. They need root, for owners and devices, and report when it is missing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};
use tempfile::TempDir;

use layer_index::{Budget, Entries, Error, Files, Indexed, Job, Limits, index};
use types::Digest;

mod entries;
mod hostile;
mod links;
mod stacks;
mod streams;

/// A tar stream, written entry by entry.
#[derive(Default, Clone)]
struct Tar(Vec<u8>);

impl Tar {
    fn with(mut self, header: &Header, data: &[u8]) -> Self {
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn entry(self, kind: EntryType, name: &str, link: &str, mode: u32, data: &[u8]) -> Self {
        let mut header = header(kind, name, mode, data.len());
        header.as_gnu_mut().expect("a GNU header").linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.with(&header, data)
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.entry(EntryType::Regular, name, "", 0o644, data.as_bytes())
    }

    fn dir(self, name: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, name, "", mode, b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, 0o777, b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, 0o644, b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let body = key.len() + value.len() + 3;
            let digits = (body + 1).to_string().len();
            let len = body + (body + digits).to_string().len();
            data.extend_from_slice(format!("{len} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(EntryType::XHeader, "pax", "", 0o644, &data)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A header whose name is not validated.
fn header(kind: EntryType, name: &str, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().expect("a GNU header").name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(size as u64);
    header.set_cksum();
    header
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// Directory for indexing layers and writing the results.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "owners and devices need root: run the tests as root");
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn job(&self, compressed: Vec<u8>) -> Job<std::io::Cursor<Vec<u8>>> {
        Job {
            compressed: std::io::Cursor::new(compressed),
            limits: Limits {
                stream_bytes_max: 64 << 20,
                extension_bytes_max: 1 << 20,
                path_len_max: 4095,
                text_bytes_max: 1 << 20,
                zstd_window_bits: 27,
            },
            budget: Arc::new(Budget::new(64 << 20, 1000)),
            cancel: Arc::default(),
        }
    }

    fn run(&self, name: &str, job: Job<std::io::Cursor<Vec<u8>>>) -> Result<Indexed, Error> {
        let path = |kind: &str| self.path(&format!("{name}.{kind}"));
        index(job, &Files { tar: &path("tar"), sparse: &path("sparse"), list: &path("list") })
    }

    /// Indexes layers, lowest first, and writes the merged result to `name`; returns the index of
    /// the topmost.
    fn stack(&self, name: &str, layers: Vec<Tar>) -> Result<Indexed, Error> {
        let mut tree = erofs::Tree::new(erofs::Limits { entries_max: 1000, xattr_bytes_max: 1 << 20 });
        let (mut devices, mut top) = (Vec::new(), None);
        for (number, tar) in layers.into_iter().enumerate() {
            let layer = format!("{name}-{number}");
            let indexed = self.run(&layer, self.job(tar.end()))?;
            let first = u16::try_from(devices.len()).expect("few layers");
            devices.push(self.path(&format!("{layer}.tar")));
            if indexed.sparse_bytes > 0 {
                devices.push(self.path(&format!("{layer}.sparse")));
            }
            let numbers: Vec<u16> = (first..).take(devices.len() - usize::from(first)).collect();
            let list = std::fs::read(self.path(&format!("{layer}.list"))).expect("just written");
            let entries = Entries::of(&list).collect::<Result<_, _>>().expect("just written");
            let applied = tree.apply(entries, &numbers);
            applied.map_err(|source| Error::Stack { source })?;
            top = Some(indexed);
        }
        crate::files::write(&tree, &devices, &self.path(name))?;
        Ok(top.expect("there is a layer"))
    }

    fn unpack(&self, name: &str, tar: Tar) -> Result<Indexed, Error> {
        self.stack(name, vec![tar])
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("a file")
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let len = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}
