//! The bytes of images, parsed by a reader that shares no code with the writer.
#![allow(clippy::unwrap_used)] // A test may fail where it stands.

#[path = "support/compare.rs"]
mod compare;
#[path = "support/entries.rs"]
mod entries;
#[path = "support/layers.rs"]
mod layers;
#[path = "support/model.rs"]
#[allow(dead_code)] // Only its judgement of layers is needed here.
mod model;
#[path = "support/reader.rs"]
mod reader;

use compare::compare;
use entries::{devices, directory, empty, entry, file, hard_link, symlink, tree, with_xattrs};
use erofs::{BLOCK_BYTES, Device, Entry, Error, Kind, Tree, write};
use proptest::prelude::*;
use reader::{Content, Image};

fn written(layer: Vec<Entry>) -> Vec<u8> {
    let tree = tree([layer]);
    let devices = devices(1, 1 << 20);
    let image = write(&tree, &devices).unwrap();
    compare(&tree, &devices, &image);
    image
}

fn refused(layer: Vec<Entry>, devices: &[Device]) -> Error {
    write(&tree([layer]), devices).unwrap_err()
}

#[test]
fn an_empty_tree_is_an_image() {
    let tree = tree([]);
    let image = write(&tree, &[]).unwrap();
    compare(&tree, &[], &image);
    assert_eq!(image.len(), 4096);
}

#[test]
fn every_kind_of_entry_is_read_back() {
    written(vec![
        directory("d"),
        file("d/file", 1_000_000, 17),
        empty("d/empty"),
        symlink("d/link", "../elsewhere"),
        hard_link("d/again", "d/file"),
        entry("d/char", Kind::CharDevice { major: 4095, minor: 0xf_ffff }),
        entry("d/block", Kind::BlockDevice { major: 259, minor: 300 }),
        entry("d/fifo", Kind::Fifo),
        entry("d/socket", Kind::Socket),
    ]);
}

#[test]
fn names_before_the_dots_do_not_disturb_the_order() {
    written(["!", "-a", "+", ".-", "...", ".a", "0", "\u{1}"].map(empty).to_vec());
}

#[test]
fn links_grow_from_inline_to_plain_at_the_end_of_a_block() {
    // An inode of 64 bytes is followed by the target, in a block of 512.
    for (len, inline) in [(1, true), (447, true), (448, true), (449, false), (512, false), (4095, false)] {
        let image = written(vec![symlink("l", &"t".repeat(len))]);
        let image = Image::open(&image);
        let Content::Directory(names) = image.node(image.root, image.root).content else { panic!("no directory") };
        let layout = image.node(names[0].1, image.root).layout;
        assert_eq!(layout, if inline { 2 } else { 0 }, "{len}");
    }
}

#[test]
fn directories_of_all_sizes_are_read_back() {
    for (count, name_len) in [(1, 255), (2, 255), (40, 255), (7, 50), (200, 1), (513, 9)] {
        written((0..count).map(|n| empty(&format!("d/{n:0>name_len$}"))).collect());
    }
}

#[test]
fn a_hundred_thousand_entries_in_one_directory_are_read_back() {
    written((0..100_000).rev().map(|n| empty(&format!("{n}"))).collect());
}

#[test]
fn attributes_up_to_what_the_format_can_hold_are_read_back() {
    let full = vec![b'v'; 65_535];
    for len in [0, 1, 3, 400, 444, 448, 512, 5_000, 65_535] {
        for kind in [empty("x"), directory("x"), file("x", 5_000, 3)] {
            written(vec![with_xattrs(kind, &[("user.long", &full[..len]), ("security.capability", b"c")])]);
        }
    }
    // 262148 bytes: 12 of the header, 3 * 65544 of whole values, and the rest.
    let rest = &full[..262_148 - 12 - 3 * 65_544 - 8];
    let all: [(&str, &[u8]); 4] = [("user.aa", &full), ("user.bb", &full), ("user.cc", &full), ("user.dddd", rest)];
    written(vec![with_xattrs(file("x", 1, 0), &all)]);
}

#[test]
fn a_file_beyond_a_tebibyte_has_several_chunks() {
    let tree = tree([vec![file("huge", (1 << 40) + 1, 5), file("just", 1 << 40, 0)]]);
    let devices = devices(1, (1 << 31) + 6);
    compare(&tree, &devices, &write(&tree, &devices).unwrap());
}

#[test]
fn files_that_end_with_their_device_fit_and_others_are_named() {
    let exact = [Device { tag: String::new(), bytes: 3 * BLOCK_BYTES - 100 }];
    assert!(write(&tree([vec![file("f", 2 * BLOCK_BYTES, 1)]]), &exact).is_ok());
    let error = refused(vec![file("f", 2 * BLOCK_BYTES + 1, 1)], &exact);
    assert_eq!(error, Error::OutsideDevice { path: "f".into(), device: 0, end: 4, blocks: 3 });
    let error = refused(vec![file("f", 1, 0)], &[]);
    assert_eq!(error, Error::UnknownDevice { path: "f".into(), device: 0, devices: 0 });
}

#[test]
fn more_devices_than_the_table_can_have_are_refused() {
    let tree = tree([vec![file("f", 1, 0)]]);
    let many = devices(16_000, 1);
    compare(&tree, &many, &write(&tree, &many).unwrap());
    let more = devices(16_001, 1);
    assert_eq!(write(&tree, &more), Err(Error::TooManyDevices { count: 16_001, max: 16_000 }));
}

#[test]
fn the_same_layers_make_the_same_bytes() {
    let layers = || {
        let entries = (0..500).map(|n| with_xattrs(file(&format!("d{}/f{n}", n % 7), n, 0), &[("user.n", &[1; 9])]));
        vec![entries.collect::<Vec<_>>(), vec![entries::whiteout("d3"), empty("d3/f"), hard_link("l", "d1/f1")]]
    };
    let image = |layers| write(&tree(layers), &devices(2, 100)).unwrap();
    assert_eq!(image(layers()), image(layers()));
}

#[test]
fn a_tree_deeper_than_any_stack_is_written() {
    const DEPTH: usize = 100_000;
    let deep = vec!["d"; DEPTH].join("/");
    let mut tree = tree([vec![empty(&format!("{deep}/f"))]]);
    let image = write(&tree, &[]).unwrap();
    let image = Image::open(&image);
    let (mut at, mut parent) = (image.root, image.root);
    for _ in 0..DEPTH {
        let Content::Directory(names) = image.node(at, parent).content else { panic!("no directory") };
        assert_eq!(names.len(), 1);
        (parent, at) = (at, names[0].1);
    }
    tree.apply(vec![empty("d")], &[]).unwrap();
    let mut names = 0;
    let walked: Result<(), ()> = tree.walk(|_| {
        names += 1;
        Ok(())
    });
    assert_eq!((walked, names), (Ok(()), 2));
}

proptest! {
    #[test]
    fn whatever_layers_make_is_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (layers, _) = model::sound_layers(&bytes);
        let count = layers.len() * usize::from(layers::DEVICES_PER_LAYER);
        let mut tree = Tree::new(entries::LIMITS);
        for (n, layer) in layers.into_iter().enumerate() {
            tree.apply(layer, &layers::places(n)).unwrap();
        }
        let devices = devices(count, layers::DEVICE_BLOCKS);
        match write(&tree, &devices) {
            Ok(image) => compare(&tree, &devices, &image),
            Err(error) => prop_assert!(matches!(error, Error::OutsideDevice { .. }), "{error}"),
        }
    }
}
