//! Images as read by Linux: mounted from files, as in use, and compared name by name with the tree.
//! Needs root, and Linux 6.12 for mounts of files.
#![allow(clippy::unwrap_used)] // A test may fail where it stands.

#[path = "support/entries.rs"]
mod entries;
#[path = "support/layers.rs"]
mod layers;
#[path = "support/model.rs"]
#[allow(dead_code)] // Only its judgement of layers is needed here.
mod model;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use entries::{devices, directory, empty, entry, file, hard_link, meta, opaque, symlink, whiteout, with_xattrs};
use erofs::{BLOCK_BYTES, Device, Entry, Extent, Kind, Tree, Visit, write};
use proptest::prelude::*;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::mount::{self, FsMountFlags, FsOpenFlags, MountAttrFlags};

/// Version 2, and three entries: owner rwx, group r-x, others r--.
const ACL: &[u8] =
    &[2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255];
/// Version 2, permitted and effective `CAP_NET_BIND_SERVICE`.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// An image and its devices as files, in a detached mount.
struct Mounted {
    root: PathBuf,
    mount: OwnedFd,
    /// Keeps the files as long as the mount.
    _files: tempfile::TempDir,
}

impl Mounted {
    fn new(tree: &Tree, devices: &[Device], fill: impl Fn(usize, &File)) -> Self {
        let image = write(tree, devices).unwrap();
        // In the build's directory: a tmpfs cannot back a mount.
        let files = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = files.path().join("image.erofs");
        std::fs::write(&path, image).unwrap();
        let context = mount::fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        mount::fsconfig_set_string(&context, "source", &path).unwrap();
        for (n, device) in devices.iter().enumerate() {
            let path = files.path().join(&device.tag);
            let file = File::create_new(&path).unwrap();
            file.set_len(device.bytes).unwrap();
            fill(n, &file);
            mount::fsconfig_set_string(&context, "device", &path).unwrap();
        }
        mount::fsconfig_set_flag(&context, "ro").unwrap();
        mount::fsconfig_create(&context).expect("the kernel takes the image");
        let mount = mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap();
        let root = PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
        Self { root, mount, _files: files }
    }

    fn path(&self, path: &[u8]) -> PathBuf {
        // With a trailing slash, since the root itself is behind a link of proc.
        self.root.join(std::ffi::OsStr::from_bytes(path))
    }

    /// Names of a directory as `readdir` gives them.
    fn names(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.mount, path, flags, Mode::empty()).unwrap();
        Dir::read_from(dir).unwrap().map(|entry| entry.unwrap().file_name().to_bytes().to_vec()).collect()
    }
}

/// The byte at an offset of a device.
fn pattern(device: usize, at: u64) -> u8 {
    let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(device as u64);
    (mixed >> 32) as u8 | 1
}

fn patterned(device: usize, file: &File) {
    let bytes = file.metadata().unwrap().len();
    let content: Vec<u8> = (0..bytes).map(|at| pattern(device, at)).collect();
    file.write_all_at(&content, 0).unwrap();
}

/// Compares every name of `tree`, and every directory's names, with the mounted image.
fn compare(tree: &Tree, mounted: &Mounted) {
    let mut children: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    let walked: Result<(), ()> = tree.walk(|visit| {
        let found = compare_entry(&visit, mounted);
        assert_eq!(*numbers.entry(visit.inode).or_insert(found), found, "links share an inode: {:?}", visit.path);
        if matches!(visit.kind, Kind::Directory) {
            children.insert(visit.path.to_vec(), vec![b".".to_vec(), b"..".to_vec()]);
        }
        if !visit.path.is_empty() {
            let name_at = visit.path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
            let parent = visit.path[..name_at.saturating_sub(1)].to_vec();
            children.get_mut(&parent).unwrap().push(visit.path[name_at..].to_vec());
        }
        Ok(())
    });
    walked.unwrap();
    for (path, mut names) in children {
        names.sort_unstable();
        assert_eq!(mounted.names(&path), names, "{:?}", String::from_utf8_lossy(&path));
    }
}

/// Compares one name; returns the inode's number.
fn compare_entry(visit: &Visit<'_>, mounted: &Mounted) -> u64 {
    let path = mounted.path(visit.path);
    let shown = String::from_utf8_lossy(visit.path);
    let found = std::fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{shown}: {e}"));
    let meta = visit.meta;
    let told = (found.mode() & 0o7777, found.uid(), found.gid(), found.mtime(), found.mtime_nsec(), found.nlink());
    let expected =
        (u32::from(meta.mode), meta.uid, meta.gid, meta.mtime_s, i64::from(meta.mtime_ns), u64::from(visit.links));
    assert_eq!(told, expected, "{shown}");
    assert_eq!(xattrs(&path), meta.xattrs, "{shown}");
    let kind = found.file_type();
    let number = |major: u32, minor: u32| rustix::fs::makedev(major, minor);
    match visit.kind {
        Kind::Directory => assert!(kind.is_dir(), "{shown}"),
        Kind::Fifo => assert!(kind.is_fifo(), "{shown}"),
        Kind::Socket => assert!(kind.is_socket(), "{shown}"),
        Kind::CharDevice { major, minor } => {
            assert_eq!((kind.is_char_device(), found.rdev()), (true, number(*major, *minor)), "{shown}");
        }
        Kind::BlockDevice { major, minor } => {
            assert_eq!((kind.is_block_device(), found.rdev()), (true, number(*major, *minor)), "{shown}");
        }
        Kind::Symlink { target } => {
            assert_eq!(std::fs::read_link(&path).unwrap().into_os_string().into_vec(), *target, "{shown}");
        }
        Kind::File { size, data } => {
            assert_eq!((kind.is_file(), found.len()), (true, *size), "{shown}");
            compare_content(&path, *size, *data);
        }
        other => panic!("{other:?} in a tree"),
    }
    found.ino()
}

fn compare_content(path: &Path, size: u64, data: Option<Extent>) {
    let expected = data
        .into_iter()
        .flat_map(|data| (data.offset..data.offset + size).map(move |at| pattern(usize::from(data.device), at)));
    assert!(std::fs::read(path).unwrap().into_iter().eq(expected), "content of {}", path.display());
}

/// All attributes, sorted by name.
fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut buffer = vec![0; 1 << 17];
    let len = rustix::fs::llistxattr(path, &mut buffer[..]).unwrap();
    let names = buffer[..len].split(|b| *b == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec);
    let values = names.map(|name| {
        let mut value = vec![0; 1 << 16];
        let len = rustix::fs::lgetxattr(path, &name[..], &mut value[..]).unwrap();
        value.truncate(len);
        (name, value)
    });
    let mut found: Vec<_> = values.collect();
    found.sort_unstable();
    found
}

fn base() -> Vec<Entry> {
    let long = "n".repeat(255);
    let value = vec![b'v'; 65_535];
    let full: [(&str, &[u8]); 4] =
        [("user.aa", &value), ("user.bb", &value), ("user.cc", &value), ("user.dddd", &value[..65_496])];
    let mut root = directory("");
    root.meta.mode = 0o1777;
    let mut set_id = file("bin/su", 70_001, 3);
    set_id.meta.mode = 0o6755;
    let mut before = empty("odd/before-1970");
    before.meta.mtime_s = -12_345_678_901;
    let mut far = empty("odd/far");
    (far.meta.mtime_s, far.meta.uid, far.meta.gid) = (i64::from(u32::MAX) * 9, u32::MAX - 1, u32::MAX - 1);
    let mut layer = vec![
        root,
        with_xattrs(directory("bin"), &[("system.posix_acl_default", ACL), ("system.posix_acl_access", ACL)]),
        set_id,
        with_xattrs(file("bin/server", 1_000_000, 200), &[("security.capability", CAPABILITY)]),
        hard_link("bin/server-again", "bin/server"),
        file("bin/one", 1, 0),
        file("bin/block", 512, 1),
        file("bin/page", 4096, 9),
        file("bin/page-and-one", 4097, 11),
        empty("bin/empty"),
        symlink("lib", "usr/lib"),
        symlink("odd/long-link", &"t".repeat(449)),
        symlink("odd/longest-link", &"t".repeat(4095)),
        symlink("odd/short-link", &"t".repeat(448)),
        with_xattrs(symlink("odd/link-with-attributes", "x"), &[("trusted.t", b"v"), ("security.s", b"w")]),
        with_xattrs(file("odd/full", 600, 5), &full),
        with_xattrs(directory("odd/full-directory"), &full),
        empty("odd/full-directory/x"),
        with_xattrs(empty("odd/attribute-without-value"), &[("user.none", b"")]),
        with_xattrs(empty("odd/acl"), &[("system.posix_acl_access", ACL), ("user.a", b"1"), ("trusted.b", b"2")]),
        entry("dev/char", Kind::CharDevice { major: 4095, minor: 0xf_ffff }),
        entry("dev/block", Kind::BlockDevice { major: 259, minor: 256 }),
        entry("dev/fifo", Kind::Fifo),
        entry("dev/socket", Kind::Socket),
        before,
        far,
        file(&format!("{long}/{long}"), 10, 77),
        empty(&format!("{}/bottom", vec!["deep"; 300].join("/"))),
        empty("gone/a"),
        empty("emptied/a"),
    ];
    layer.push(Entry { path: b"odd/\xff\xfe\n".to_vec(), kind: Kind::Fifo, meta: meta(5) });
    // Attribute blocks of every length end at every offset in a block.
    layer.extend(
        (0..200).map(|n| with_xattrs(file(&format!("x/{n}"), 700, n), &[("user.n", &value[..n as usize * 7])])),
    );
    layer.extend((0..60).map(|n| empty(&format!("long/{n:0>255}"))));
    layer.extend((0..3000).map(|n| empty(&format!("many/{}", n * 7919 % 3000))));
    layer.extend([".-", "!", "...", "-", "\u{1}"].map(|name| empty(&format!("dots/{name}"))));
    layer
}

#[test]
fn privileged_every_entry_of_three_layers_is_what_was_put_in() {
    let upper = vec![
        whiteout("gone"),
        opaque("emptied"),
        file("emptied/b", 3000, 40),
        file("lib/lib.so", 123_456, 300),
        hard_link("again", "bin/page"),
        file("bin/su", 5, 7),
    ];
    let top = vec![hard_link("lib/top", "lib/lib.so"), Entry { kind: Kind::Directory, ..directory("many") }];
    let mut tree = Tree::new(entries::LIMITS);
    for (layer, device) in [(base(), 1), (upper, 0), (top, 2)] {
        tree.apply(layer, &[device]).unwrap();
    }
    let devices = devices(3, 2400);
    compare(&tree, &Mounted::new(&tree, &devices, patterned));
}

#[test]
fn privileged_whatever_layers_make_is_what_the_kernel_reads() {
    // Few, since each is a mount.
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in proptest::collection::vec(any::<u8>(), 100..600))| {
        let (layers, _) = model::sound_layers(&bytes);
        let count = layers.len() * usize::from(layers::DEVICES_PER_LAYER);
        let mut tree = Tree::new(entries::LIMITS);
        for (n, layer) in layers.into_iter().enumerate() {
            let layer = layer.into_iter().map(readable).collect();
            tree.apply(layer, &layers::places(n)).unwrap();
        }
        // Twice the space, so that no file exceeds its device.
        compare(&tree, &Mounted::new(&tree, &devices(count, 2 * layers::DEVICE_BLOCKS), patterned));
    });
}

/// Random bytes are not valid ACLs or capabilities, and the kernel hides those that it cannot
/// parse.
fn readable(mut entry: Entry) -> Entry {
    entry.meta.xattrs.retain(|(name, _)| !name.starts_with(b"system.") && name != b"security.capability");
    entry
}

#[test]
fn privileged_a_hundred_thousand_entries_in_one_directory_are_listed_and_found() {
    let tree = entries::tree([(0..100_000).map(|n| empty(&format!("d/{n}"))).collect()]);
    let mounted = Mounted::new(&tree, &[], patterned);
    let names = mounted.names(b"d");
    assert!(names.is_sorted());
    assert_eq!(names.len(), 100_002);
    assert!(names.iter().step_by(997).all(|name| mounted.path(b"d").join(std::ffi::OsStr::from_bytes(name)).exists()));
    assert!(!mounted.path(b"d/100000").exists());
}

#[test]
fn privileged_a_file_beyond_a_tebibyte_is_read_across_its_chunks() {
    let (size, first) = ((1 << 40) + 100_000, 7);
    let tree = entries::tree([vec![file("huge", size, first)]]);
    let start = first * BLOCK_BYTES;
    let mark = |at: u64| at.to_le_bytes();
    let marked = [0, 1 << 20, (1 << 40) - 8, 1 << 40, size - 8];
    let mounted = Mounted::new(&tree, &devices(1, size.div_ceil(BLOCK_BYTES) + first), |_, device| {
        // Sparse except for the marks.
        marked.iter().for_each(|at| device.write_all_at(&mark(*at), start + at).unwrap());
    });
    let huge = File::open(mounted.path(b"huge")).unwrap();
    let read = |at: u64| {
        let mut read = [0; 8];
        huge.read_exact_at(&mut read, at).unwrap();
        read
    };
    for at in marked {
        assert_eq!(read(at), mark(at), "at {at}");
    }
    let across = [&mark((1 << 40) - 8)[4..], &mark(1 << 40)[..4]].concat();
    assert_eq!(read((1 << 40) - 4)[..], across);
}

#[test]
fn privileged_a_damaged_superblock_is_refused_by_its_checksum() {
    let mut image = write(&entries::tree([vec![empty("a")]]), &[]).unwrap();
    image[1024 + 16] ^= 1;
    let files = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = files.path().join("image.erofs");
    std::fs::write(&path, image).unwrap();
    let context = mount::fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    mount::fsconfig_set_string(&context, "source", &path).unwrap();
    mount::fsconfig_set_flag(&context, "ro").unwrap();
    assert_eq!(mount::fsconfig_create(&context).unwrap_err(), rustix::io::Errno::BADMSG);
}
