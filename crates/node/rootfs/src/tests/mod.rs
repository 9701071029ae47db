//! Layers with every kind of entry, and with every trick, indexed, put together, and written out to
//! temporary directories. They need root, for owners and devices, and say so when it is missing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};
use tempfile::TempDir;

use layer_index::{Budget, Entries, Error, Files, Indexed, Job, Limits, index};
use types::Digest;

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

/// A header whose name is taken as it is, however wrong.
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

/// Where layers are indexed, and what they make is written out.
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

    /// Indexes layers, lowest first, and writes what they make to `name`; gives what was found in
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

#[test]
fn every_kind_of_entry_gets_what_its_header_says() {
    let place = Place::new();
    let device = {
        let mut header = header(EntryType::Char, "dev/null", 0o666, 0);
        header.set_device_major(1).expect("fits");
        header.set_device_minor(3).expect("fits");
        header.set_cksum();
        header
    };
    let owned = {
        let mut header = header(EntryType::Regular, "su", 0o4755, 2);
        header.set_uid(1234);
        header.set_gid(70_000);
        header.set_cksum();
        header
    };
    let tar = Tar::default()
        .dir("./", 0o755)
        .dir("dev/", 0o755)
        .with(&device, b"")
        .with(&owned, b"hi")
        .dir("tmp", 0o1777)
        .symlink("tmp/link", "/etc/passwd")
        .hard_link("tmp/same", "su")
        .entry(EntryType::Fifo, "tmp/fifo", "", 0o600, b"");
    let unpacked = place.unpack("a", tar).expect("valid");
    assert_eq!((unpacked.bytes, unpacked.entries, unpacked.sparse_bytes), (2, 8, 0));
    let meta = |name: &str| fs::symlink_metadata(place.path("a").join(name)).expect("there");
    assert_eq!((meta("dev/null").rdev(), meta("dev/null").mode() & 0o7777), (rustix::fs::makedev(1, 3), 0o666));
    assert_eq!((meta("su").uid(), meta("su").gid(), meta("su").mode() & 0o7777), (1234, 70_000, 0o4755));
    assert_eq!((meta("su").nlink(), meta("su").ino()), (2, meta("tmp/same").ino()));
    assert_eq!(meta("tmp").permissions().mode() & 0o7777, 0o1777);
    assert!(meta("tmp/fifo").file_type().is_fifo());
    assert_eq!(fs::read_link(place.path("a/tmp/link")).expect("a link"), Path::new("/etc/passwd"));
    for name in ["", "dev", "su", "tmp", "tmp/link", "tmp/fifo"] {
        assert_eq!(meta(name).mtime(), 1_000_000_000, "{name}");
    }
}

#[test]
fn pax_records_give_long_names_times_and_attributes() {
    let place = Place::new();
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(200));
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tar = Tar::default()
        .pax(&[
            ("path", long.as_bytes()),
            ("mtime", b"1234567890.5"),
            ("uid", b"3000000"),
            ("SCHILY.xattr.security.capability", &capability),
            ("SCHILY.xattr.user.lines", b"a\nb"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ])
        .file("short", "x");
    place.unpack("a", tar).expect("valid");
    let path = place.path("a").join(long);
    let meta = fs::metadata(&path).expect("there");
    assert_eq!((meta.mtime(), meta.mtime_nsec(), meta.uid()), (1_234_567_890, 500_000_000, 3_000_000));
    assert_eq!(xattr(&path, "security.capability").as_deref(), Some(&capability[..]));
    assert_eq!(xattr(&path, "user.lines").as_deref(), Some(&b"a\nb"[..]));
    assert_eq!(xattr(&path, "trusted.overlay.redirect"), None, "overlayfs would follow it out of the layer");
}

#[test]
fn gnu_long_names_are_read() {
    let place = Place::new();
    let long = "n".repeat(240);
    let target = format!("t/{}", "x".repeat(200));
    let tar = Tar::default()
        .entry(EntryType::GNULongName, "././@LongLink", "", 0, format!("{long}\0").as_bytes())
        .entry(EntryType::GNULongLink, "././@LongLink", "", 0, format!("{target}\0").as_bytes())
        .symlink("n", "t");
    place.unpack("a", tar).expect("valid");
    assert_eq!(fs::read_link(place.path("a").join(long)).expect("a link"), Path::new(&target));
}

#[test]
fn sparse_files_of_every_format_have_their_holes() {
    let place = Place::new();
    let mut old = header(EntryType::GNUSparse, "old", 0o644, 6);
    {
        let gnu = old.as_gnu_mut().expect("a GNU header");
        gnu.set_real_size(1 << 20);
        for (field, (offset, len)) in gnu.sparse.iter_mut().zip([(0, 3), (4096, 3), (1 << 20, 0)]) {
            field.set_offset(offset);
            field.set_length(len);
        }
    }
    old.set_cksum();
    let mut map = b"2\n0\n3\n4096\n3\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"abcdef");
    let size = (1u64 << 20).to_string();
    let tar = Tar::default()
        .with(&old, b"abcdef")
        .pax(&[("GNU.sparse.map", b"0,3,4096,3"), ("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.name", b"v01")])
        .file("x", "abcdef")
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", size.as_bytes()),
            ("GNU.sparse.name", b"v10"),
        ])
        .entry(EntryType::Regular, "x", "", 0o644, &map);
    place.unpack("a", tar).expect("valid");
    for name in ["old", "v01", "v10"] {
        let content = fs::read(place.path("a").join(name)).expect("a file");
        assert_eq!(content.len(), 1 << 20, "{name}");
        assert_eq!((&content[..3], &content[4096..4099], content[5000]), (&b"abc"[..], &b"def"[..], 0), "{name}");
        let blocks = fs::metadata(place.path("a").join(name)).expect("there").blocks();
        assert!(blocks < 100, "{name} takes {blocks} blocks, its holes are not holes");
    }
}

#[test]
fn names_that_lead_out_get_an_error_that_names_them() {
    let place = Place::new();
    fs::write(place.path("outside"), "untouched").expect("written");
    let cases = [
        ("dots", Tar::default().file("../outside", "x"), "../outside"),
        ("inner-dots", Tar::default().file("a/../../outside", "x"), "a/../../outside"),
        ("absolute-dots", Tar::default().file("/../outside", "x"), "/../outside"),
        ("hard-link", Tar::default().hard_link("a", "../outside"), "a"),
    ];
    for (layer, tar, named) in cases {
        let error = place.unpack(layer, tar).expect_err(layer);
        let entry = match &error {
            Error::Entry { entry, .. } | Error::LinkName { entry, .. } => entry,
            _ => panic!("{layer}: {error}"),
        };
        assert_eq!(entry, named, "{error}");
    }
    assert_eq!(read(place.path("outside")), "untouched");
}

#[test]
fn names_from_the_root_mean_the_root_of_the_image() {
    let place = Place::new();
    fs::write(place.path("outside"), "untouched").expect("written");
    let long = format!("/{}/{}", "d".repeat(150), "f".repeat(200));
    let low = Tar::default().file("etc/gone", "g").file("opaque/old", "o");
    let top = Tar::default()
        .dir("/", 0o711)
        .file("/outside", "inside")
        .hard_link("//again", "/outside")
        .file("/etc/.wh.gone", "")
        .file("/opaque/.wh..wh..opq", "")
        .pax(&[("path", long.as_bytes())])
        .file("short", "x")
        .pax(&[("linkpath", long.as_bytes())])
        .hard_link("linked", "short");
    place.stack("l", vec![low, top]).expect("valid");
    let at = |name: &str| place.path("l").join(name);
    assert_eq!(
        (read(at("outside")), read(at("again")), read(at("linked"))),
        ("inside".into(), "inside".into(), "x".into())
    );
    assert_eq!((at("etc/gone").exists(), at("opaque/old").exists(), at(&long[1..]).exists()), (false, false, true));
    assert_eq!(fs::metadata(at("")).expect("there").mode() & 0o7777, 0o711);
    assert_eq!(read(place.path("outside")), "untouched");
}

#[test]
fn links_that_lead_out_lead_to_the_root_as_they_do_in_an_instance() {
    let place = Place::new();
    fs::write(place.path("outside"), "untouched").expect("written");
    let tar = Tar::default()
        .symlink("up", "../..")
        .file("up/one", "1")
        .symlink("root", "/")
        .file("root/two", "2")
        .symlink("magic", "/proc/self/cwd")
        .file("outside", "inside")
        .hard_link("linked", "up/outside")
        .file("up/.wh.nothing", "");
    place.unpack("l", tar).expect("valid");
    assert_eq!((read(place.path("l/one")), read(place.path("l/two"))), ("1".into(), "2".into()));
    assert_eq!((read(place.path("outside")), read(place.path("l/linked"))), ("untouched".into(), "inside".into()));
}

#[test]
fn a_file_does_not_write_through_a_link_at_its_own_place() {
    let place = Place::new();
    fs::write(place.path("outside"), "untouched").expect("written");
    let tar = Tar::default().symlink("a", "../outside").file("a", "inside").symlink("d", "..").dir("d", 0o700);
    place.unpack("l", tar).expect("valid");
    assert_eq!((read(place.path("outside")), read(place.path("l/a"))), ("untouched".into(), "inside".into()));
    assert!(fs::symlink_metadata(place.path("l/d")).expect("there").is_dir());
}

#[test]
fn links_within_a_layer_are_followed_to_directories() {
    let place = Place::new();
    let tar = Tar::default().dir("usr", 0o755).dir("usr/lib", 0o755).symlink("lib", "usr/lib").file("lib/x", "1");
    place.unpack("a", tar).expect("valid");
    assert_eq!(read(place.path("a/usr/lib/x")), "1");
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_else() {
    let place = Place::new();
    let low = Tar::default()
        .dir("etc", 0o755)
        .file("etc/gone", "g")
        .file("etc/stays", "s")
        .file("opaque/old", "o")
        .file("first/old", "o")
        .file("second/old", "o")
        .file("kept", "below")
        .file("under/old", "o");
    let top = Tar::default()
        .file("etc/.wh.gone", "")
        .dir("opaque", 0o755)
        .file("opaque/new", "n")
        .file("opaque/.wh..wh..opq", "")
        // In either order, an entry of the layer itself stays, and hides what was below it.
        .file(".wh.first", "")
        .dir("first", 0o755)
        .dir("second", 0o755)
        .file(".wh.second", "")
        .file("kept", "k")
        .file(".wh.kept", "")
        .file(".wh.under", "")
        .file("under/x", "1")
        .file(".wh..wh.aufs", "");
    place.stack("a", vec![low, top]).expect("valid");
    let at = |name: &str| place.path("a").join(name);
    let list = |name: &str| {
        let entries = fs::read_dir(at(name)).expect("a directory");
        entries.map(|e| e.expect("readable").file_name().into_string().expect("text")).collect::<Vec<_>>()
    };
    assert_eq!(
        (list("etc"), list("opaque"), list("under")),
        (vec!["stays".into()], vec!["new".into()], vec!["x".into()])
    );
    assert_eq!((list("first").len(), list("second").len(), read(at("kept"))), (0, 0, "k".into()));
    assert!(!at(".wh..wh.aufs").exists());
    assert!(place.unpack("b", Tar::default().file("a/.wh.", "")).is_err());
}

#[test]
fn the_last_entry_of_a_path_counts() {
    let place = Place::new();
    let tar = Tar::default()
        .file("a", "old")
        .file("a", "new")
        .dir("d", 0o755)
        .file("d/x", "1")
        .file("d", "now a file")
        .file("e", "now a directory")
        .dir("e", 0o755)
        .file("e/x", "2")
        .dir("f", 0o700)
        .dir("f", 0o711);
    place.unpack("a", tar).expect("valid");
    let at = |name: &str| place.path("a").join(name);
    assert_eq!((read(at("a")), read(at("d")), read(at("e/x"))), ("new".into(), "now a file".into(), "2".into()));
    assert_eq!(fs::metadata(at("f")).expect("there").mode() & 0o7777, 0o711);
    let error = place.unpack("b", Tar::default().file("a", "").file("a/b", "")).expect_err("a is no directory");
    assert!(matches!(error, Error::Stack { .. }), "{error}");
    let error = place.unpack("c", Tar::default().dir("a", 0o755).hard_link("b", "a")).expect_err("a is a directory");
    assert!(matches!(error, Error::Stack { .. }), "{error}");
}

#[test]
fn a_hard_link_to_a_lower_layer_is_the_same_file() {
    let place = Place::new();
    let low = Tar::default().dir("bin", 0o711).file("bin/tool", "tool");
    let upper = Tar::default().hard_link("alias", "bin/tool");
    let alone = place.unpack("alone", upper.clone()).expect_err("the file is below");
    assert!(matches!(alone, Error::Stack { .. }), "{alone}");
    place.stack("up", vec![low.clone(), upper.clone()]).expect("found below");
    let meta = |name: &str| fs::metadata(place.path("up").join(name)).expect("there");
    assert_eq!(read(place.path("up/alias")), "tool");
    assert_eq!((meta("alias").ino(), meta("alias").nlink()), (meta("bin/tool").ino(), 2));
    // A layer in between that removes it hides it.
    for (name, between) in [("hidden", "bin/.wh.tool"), ("opaque", "bin/.wh..wh..opq")] {
        let hidden = place.stack(name, vec![low.clone(), Tar::default().file(between, ""), upper.clone()]);
        assert!(matches!(hidden, Err(Error::Stack { .. })), "{name}");
    }
}

#[test]
fn directories_that_no_entry_describes_look_as_below() {
    let place = Place::new();
    let low = Tar::default().dir("tmp", 0o1777);
    place.stack("up", vec![low, Tar::default().file("tmp/x", "1").file("new/y", "2")]).expect("valid");
    let mode = |name: &str| fs::metadata(place.path("up").join(name)).expect("there").mode() & 0o7777;
    assert_eq!((mode("tmp"), mode("new")), (0o1777, 0o755));
}

#[test]
fn bombs_end_at_the_limits() {
    let place = Place::new();
    let limit = |layer: &str, compressed: Vec<u8>| {
        let mut job = place.job(compressed);
        job.limits.stream_bytes_max = 1 << 20;
        job.limits.extension_bytes_max = 4096;
        job.limits.text_bytes_max = 300;
        job.budget = Arc::new(Budget::new(1 << 19, 5));
        let budget = job.budget.clone();
        let error = place.run(layer, job).expect_err(layer);
        // All was given back.
        budget.take(1 << 19, 5).expect("unused");
        match error {
            Error::TooLarge { key, .. } => key,
            other => panic!("{layer}: {other}"),
        }
    };
    assert_eq!(limit("zeros", gzip(&vec![0; 4 << 20])), "unpacked_bytes_max");
    let big = header(EntryType::Regular, "big", 0o644, 1 << 40);
    assert_eq!(limit("big", Tar::default().with(&big, b"").end()), "unpacked_bytes_max");
    let entries = (0..9).fold(Tar::default(), |tar, i| tar.file(&i.to_string(), ""));
    assert_eq!(limit("entries", entries.end()), "entries_max");
    let long = Tar::default().entry(EntryType::GNULongName, "l", "", 0, &[b'x'; 5000]).file("x", "");
    assert_eq!(limit("long", long.end()), "entry_header_bytes_max");
    let names = (0..4).fold(Tar::default(), |tar, i| tar.file(&format!("{i}{}", "n".repeat(80)), ""));
    assert_eq!(limit("names", names.end()), "layer_text_bytes_max");
    let size = (1u64 << 60).to_string();
    let sparse = Tar::default().pax(&[("GNU.sparse.map", b"0,0"), ("GNU.sparse.size", size.as_bytes())]).file("s", "");
    assert_eq!(limit("sparse", sparse.end()), "unpacked_bytes_max");
}

#[test]
fn a_layer_that_nobody_wants_any_more_ends() {
    let place = Place::new();
    let mut job = place.job(Tar::default().file("a", "x").end());
    job.cancel = Arc::new(AtomicBool::new(true));
    assert!(matches!(place.run("a", job), Err(Error::Cancelled)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_entries_leaves_the_root(
        entries in proptest::collection::vec((0..5u8, "[a-c./]{1,6}", "[a-c./]{1,6}"), 1..12),
    ) {
        let place = Place::new();
        for canary in ["a", "b", "c"] {
            fs::write(place.path(canary), "untouched").expect("written");
        }
        let tar = entries.iter().fold(Tar::default(), |tar, (kind, name, link)| match kind {
            0 => tar.file(name, "x"),
            1 => tar.dir(name, 0o755),
            2 => tar.symlink(name, link),
            3 => tar.hard_link(name, link),
            _ => tar.file(&format!("{name}/.wh.a"), ""),
        });
        let _ = place.unpack("layer", tar);
        let mut names: Vec<_> =
            fs::read_dir(place.dir.path()).expect("there").map(|e| e.expect("readable").file_name()).collect();
        names.sort();
        names.retain(|name| !name.to_string_lossy().starts_with("layer"));
        prop_assert_eq!(names, ["a", "b", "c"]);
        for canary in ["a", "b", "c"] {
            prop_assert_eq!(read(place.path(canary)), "untouched");
            prop_assert_eq!(fs::metadata(place.path(canary)).expect("there").nlink(), 1);
        }
    }

    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        flips in proptest::collection::vec((0usize..3000, any::<u8>()), 0..4),
    ) {
        let place = Place::new();
        let _ = place.run("noise", place.job(bytes));
        let mut tar = Tar::default().pax(&[("path", b"x/y"), ("GNU.sparse.map", b"0,1")]).file("a", "hello").end();
        for (at, value) in flips {
            let at = at % tar.len();
            tar[at] ^= value;
        }
        let _ = place.run("flipped", place.job(tar));
    }
}
