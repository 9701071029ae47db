//! Lists a file system, one line of JSON per entry, to compare an image inside an instance with the
//! same image elsewhere.
//!
//! Names, link targets and error texts have every byte beyond plain ASCII as `%XX`, so that names
//! that are not UTF-8 stay distinct.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{lgetxattr, llistxattr, major, minor};
use sha2::{Digest, Sha256};

/// Length of the read buffer.
const BUFFER_BYTES: usize = 256 * 1024;
/// Longest list of attribute names, and longest value (xattr(7)).
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// Writes a line for `root` and for each entry below it, sorted by name in bytes. Mounts below it
/// are listed but not entered.
pub fn walk(root: &Path, out: &mut impl Write) -> io::Result<()> {
    let device = fs::symlink_metadata(root)?.dev();
    entry(root, root, device, out)
}

fn entry(root: &Path, path: &Path, device: u64, out: &mut impl Write) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    let name = path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes();
    writeln!(out, "{}", line(name, path, &meta))?;
    if !meta.is_dir() || meta.dev() != device {
        return Ok(());
    }
    // An unreadable directory is listed without entries.
    let mut names: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|child| child.file_name()).collect();
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    names.iter().try_for_each(|name| entry(root, &path.join(name), device, out))
}

fn line(name: &[u8], path: &Path, meta: &Metadata) -> String {
    let mut line = format!(
        r#"{{"path":"{}","type":"{}","mode":"{:04o}","uid":{},"gid":{},"nlink":{},"mtime":"{}.{:09}""#,
        plain(name),
        kind(meta),
        meta.mode() & 0o7777,
        meta.uid(),
        meta.gid(),
        meta.nlink(),
        meta.mtime(),
        meta.mtime_nsec(),
    );
    let mut field = |key: &str, value: &str| {
        let _ = write!(line, r#","{key}":"{value}""#); // Writing to a string does not fail.
    };
    let kind = meta.file_type();
    if kind.is_file() {
        field("size", &meta.size().to_string());
        field("sha256", &said(sha256(path)));
    } else if kind.is_symlink() {
        field("target", &said(fs::read_link(path).map(|target| plain(target.as_os_str().as_bytes()))));
    } else if kind.is_block_device() || kind.is_char_device() {
        field("rdev", &format!("{}:{}", major(meta.rdev()), minor(meta.rdev())));
    }
    let _ = write!(line, r#","xattrs":{{{}}}}}"#, xattrs(path));
    line
}

fn kind(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    let kinds = [
        (kind.is_file(), "file"),
        (kind.is_dir(), "directory"),
        (kind.is_symlink(), "symlink"),
        (kind.is_block_device(), "block"),
        (kind.is_char_device(), "char"),
        (kind.is_fifo(), "fifo"),
    ];
    kinds.iter().find(|(is, _)| *is).map_or("socket", |(_, name)| name)
}

/// Returns the extended attributes as `"name":"value in hex"`, sorted by name.
fn xattrs(path: &Path) -> String {
    let mut names = Vec::with_capacity(XATTR_BYTES_MAX);
    if let Err(error) = llistxattr(path, spare_capacity(&mut names)) {
        return format!(r#""error":"{}""#, plain(error.to_string().as_bytes()));
    }
    let mut names: Vec<&[u8]> = names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    let value = |name: &[u8]| {
        let mut value = Vec::with_capacity(XATTR_BYTES_MAX);
        let read = lgetxattr(path, OsStr::from_bytes(name), spare_capacity(&mut value));
        read.map(|_| hex(&value)).map_err(io::Error::from)
    };
    let pairs: Vec<_> = names.iter().map(|name| format!(r#""{}":"{}""#, plain(name), said(value(name)))).collect();
    pairs.join(",")
}

fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; BUFFER_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// The result, or the error.
fn said(found: io::Result<String>) -> String {
    found.unwrap_or_else(|error| format!("error: {}", plain(error.to_string().as_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Converts bytes to ASCII that needs no escape in JSON.
fn plain(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'"' | b'\\' | b'%' => format!("%{byte:02X}"),
        b' ' | b'!'..=b'~' => char::from(*byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect()
}
