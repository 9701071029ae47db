//! Entries of every kind, and the extensions of tar that describe them.

use super::*;

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
fn empty_numbers_of_a_header_mean_zero() {
    // Mode, owner, group, size, time, device numbers (ustar interchange format).
    const FIELDS: [std::ops::Range<usize>; 7] = [100..108, 108..116, 116..124, 124..136, 136..148, 329..337, 337..345];
    let place = Place::new();
    for fill in [0, b' '] {
        let empty = |kind, name: &str| {
            let mut header = header(kind, name, 0o644, 0);
            for field in FIELDS {
                header.as_mut_bytes()[field].fill(fill);
            }
            header.set_cksum();
            header
        };
        // As `tar -V` writes it, in front of all others.
        let tar = Tar::default().with(&empty(EntryType::new(b'V'), "a label"), b"");
        let mut link = empty(EntryType::Symlink, "link");
        link.set_link_name("file").expect("fits");
        link.set_cksum();
        let tar = tar
            .with(&empty(EntryType::Regular, "file"), b"")
            .with(&empty(EntryType::Directory, "dir"), b"")
            // A character device 0:0 would be a whiteout of overlayfs.
            .with(&empty(EntryType::Block, "device"), b"")
            .with(&link, b"")
            .file("last", "whole");
        let root = format!("of-{fill}");
        assert_eq!(place.unpack(&root, tar).expect("valid").entries, 5);
        let meta = |name: &str| fs::symlink_metadata(place.path(&root).join(name)).expect("there");
        for name in ["file", "dir", "device", "link"] {
            assert_eq!((meta(name).mtime(), meta(name).uid(), meta(name).rdev()), (0, 0, 0), "{name}");
        }
        assert_eq!(meta("file").mode() & 0o7777, 0);
        assert_eq!(read(place.path(&root).join("last")), "whole");
    }
}

#[test]
fn an_empty_pax_record_leaves_the_header_in_force() {
    let place = Place::new();
    let empty: Vec<(&str, &[u8])> =
        ["path", "size", "uid", "gid", "mtime"].into_iter().map(|key| (key, &b""[..])).collect();
    place.unpack("a", Tar::default().pax(&empty).file("short", "x")).expect("valid");
    assert_eq!(read(place.path("a/short")), "x");
}

#[test]
fn a_gnu_name_outranks_pax_records_also_empty_ones() {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(200));
    let target = format!("{}/{}", "t".repeat(150), "u".repeat(200));
    let gnu = |tar: Tar| {
        tar.entry(EntryType::GNULongName, "././@LongLink", "", 0, format!("{long}\0").as_bytes()).entry(
            EntryType::GNULongLink,
            "././@LongLink",
            "",
            0,
            format!("{target}\0").as_bytes(),
        )
    };
    for value in ["", "other"] {
        let records = [("path", value.as_bytes()), ("linkpath", value.as_bytes())];
        for tar in [gnu(Tar::default()).pax(&records), gnu(Tar::default().pax(&records))] {
            let place = Place::new();
            place.unpack("a", tar.symlink("n", "t")).expect("valid");
            let link = fs::read_link(place.path("a").join(&long)).expect("a link of the GNU name");
            assert_eq!(link, Path::new(&target), "{value:?}");
        }
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
