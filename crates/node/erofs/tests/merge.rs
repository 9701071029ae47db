//! Merging of layers: rule by rule, and against a model on random layers.
#![allow(clippy::unwrap_used)] // A test may fail where it stands.

#[path = "support/entries.rs"]
mod entries;
#[path = "support/layers.rs"]
mod layers;
#[path = "support/model.rs"]
mod model;

use std::collections::{BTreeMap, HashMap};

use entries::{LIMITS, directory, empty, entry, file, hard_link, meta, opaque, symlink, tree, whiteout, with_xattrs};
use erofs::{Entry, Error, Extent, Kind, LINK_HOPS_MAX, Limits, Meta, Tree};
use model::{Item, Model};
use proptest::prelude::*;

fn list(tree: &Tree) -> BTreeMap<Vec<u8>, Item> {
    let (mut items, mut firsts) = (BTreeMap::new(), HashMap::<u64, Vec<u8>>::new());
    let mut inodes = Vec::new();
    let walked: Result<(), ()> = tree.walk(|visit| {
        let first = firsts.entry(visit.inode).or_insert_with(|| visit.path.to_vec());
        // A walk is ordered by directory, a map by whole paths.
        if visit.path < &first[..] {
            *first = visit.path.to_vec();
        }
        let item = Item { kind: visit.kind.clone(), meta: visit.meta.clone(), links: visit.links, first: vec![] };
        assert!(items.insert(visit.path.to_vec(), item).is_none(), "a path comes once");
        inodes.push((visit.path.to_vec(), visit.inode));
        Ok(())
    });
    walked.unwrap();
    for (path, inode) in inodes {
        items.get_mut(&path).unwrap().first = firsts[&inode].clone();
    }
    items
}

/// Paths of a tree in the order of the walk, without the root.
fn paths(tree: &Tree) -> Vec<String> {
    let mut paths = Vec::new();
    let walked: Result<(), ()> = tree.walk(|visit| {
        paths.push(String::from_utf8(visit.path.to_vec()).unwrap());
        Ok(())
    });
    walked.unwrap();
    assert_eq!(paths.remove(0), "");
    paths
}

fn at(tree: &Tree, path: &str) -> Item {
    list(tree).remove(path.as_bytes()).unwrap_or_else(|| panic!("{path} is not there"))
}

fn refused(layers: impl IntoIterator<Item = Vec<Entry>>) -> Error {
    let mut tree = Tree::new(LIMITS);
    layers.into_iter().find_map(|layer| tree.apply(layer, &[0]).err()).expect("one of the layers is wrong")
}

#[test]
fn a_walk_goes_into_directories_and_by_bytes_in_each() {
    let tree = tree([vec![empty("b/c"), empty("b.x"), empty("a"), empty("b/a/z"), empty("b-")]]);
    assert_eq!(paths(&tree), ["a", "b", "b/a", "b/a/z", "b/c", "b-", "b.x"]);
}

#[test]
fn a_walk_ends_with_the_first_error() {
    let tree = tree([vec![empty("a"), empty("b")]]);
    let stop = |visit: erofs::Visit<'_>| if visit.path == b"a" { Err("enough") } else { Ok(()) };
    assert_eq!(tree.walk(stop), Err("enough"));
}

#[test]
fn missing_parents_are_made_and_are_nobodys() {
    let tree = tree([vec![empty("a/b/c")]]);
    let made = Meta { mode: 0o755, ..Meta::default() };
    assert_eq!((at(&tree, "a").meta, at(&tree, "a/b").meta, at(&tree, "a").links), (made.clone(), made, 3));
}

#[test]
fn a_directory_over_a_directory_changes_its_metadata_only() {
    let mut over = directory("a");
    over.meta = meta(77);
    let tree = tree([vec![directory("a"), empty("a/b")], vec![over]]);
    assert_eq!(at(&tree, "a").meta, meta(77));
    assert_eq!(paths(&tree), ["a", "a/b"]);
}

#[test]
fn anything_else_replaces_what_is_there_with_all_below() {
    for kind in [empty("a").kind, Kind::Fifo, symlink("a", "x").kind] {
        let tree = tree([vec![empty("a/b/c"), empty("d")], vec![entry("a", kind.clone())]]);
        assert_eq!(paths(&tree), ["a", "d"]);
        assert_eq!(at(&tree, "").links, 2);
        let over = tree_over(tree, vec![directory("a")]);
        assert_eq!(at(&over, "a").kind, Kind::Directory);
    }
}

fn tree_over(mut tree: Tree, layer: Vec<Entry>) -> Tree {
    tree.apply(layer, &[9]).unwrap();
    tree
}

#[test]
fn the_last_of_several_entries_of_one_path_stays() {
    let tree = tree([vec![file("a", 1, 1), file("a", 2, 2)]]);
    assert_eq!(at(&tree, "a").kind, file("a", 2, 2).kind);
}

#[test]
fn an_entry_of_the_root_sets_its_metadata() {
    let tree = tree([vec![empty("a"), directory("")]]);
    assert_eq!(at(&tree, "").meta, directory("").meta);
    assert_eq!(refused([vec![empty("")]]).to_string(), r#"entry "" is the root, but no directory"#);
}

#[test]
fn whiteouts_hide_lower_layers_only_wherever_they_stand() {
    for layer in [vec![empty("a/new"), whiteout("a")], vec![whiteout("a"), empty("a/new")]] {
        let tree = tree([vec![empty("a/old"), empty("b")], layer]);
        assert_eq!(paths(&tree), ["a", "a/new", "b"]);
    }
    let tree = tree([vec![empty("a")], vec![whiteout("a"), whiteout("no/such"), whiteout("a/below")]]);
    assert_eq!(paths(&tree), [""; 0]);
}

#[test]
fn opaque_marks_empty_the_directory_of_lower_layers() {
    let tree = tree([
        vec![empty("a/old"), empty("a/c/old"), empty("b/x")],
        vec![empty("a/new"), opaque("a"), opaque("b/x"), opaque("none")],
    ]);
    assert_eq!(paths(&tree), ["a", "a/new", "b", "b/x"]);
    let all = tree_over(tree, vec![empty("only"), opaque("")]);
    assert_eq!(paths(&all), ["only"]);
}

#[test]
fn whiteouts_follow_links_on_the_way_but_not_the_last_name() {
    let below = || vec![empty("real/x"), empty("real/y"), symlink("way", "real"), symlink("real/l", "x")];
    let tree = tree([below(), vec![whiteout("way/x"), whiteout("way/l")]]);
    assert_eq!(paths(&tree), ["real", "real/y", "way"]);
}

#[test]
fn marks_in_a_directory_that_replaces_a_link_leave_what_the_link_led_to() {
    let below = || vec![empty("real/x"), empty("real/sub/y"), symlink("a", "real")];
    let layer = vec![directory("a"), opaque("a"), directory("a/sub"), opaque("a/sub"), whiteout("a/x"), empty("a/z")];
    let tree = tree([below(), layer]);
    assert_eq!(paths(&tree), ["a", "a/sub", "a/z", "real", "real/sub", "real/sub/y", "real/x"]);
}

#[test]
fn links_on_the_way_stay_inside_the_root() {
    for (target, found) in [
        ("real", "real/f"),
        ("/real", "real/f"),
        ("../../../real", "real/f"),
        ("real/./..//real/", "real/f"),
        ("gone/../real", "real/f"),
        ("..", "f"),
        ("/gone/below", "gone/below/f"),
    ] {
        let tree = tree([vec![directory("real"), symlink("way", target)], vec![file("way/f", 1, 0)]]);
        assert_eq!(at(&tree, found).kind, Kind::File { size: 1, data: Some(Extent { device: 1, offset: 0 }) });
        assert_eq!(at(&tree, "way").kind, symlink("way", target).kind);
        assert!(!list(&tree).contains_key(&b"gone/../real"[..]));
    }
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let chain = |count: u32| {
        let mut layer: Vec<_> = (1..count).map(|n| symlink(&format!("l{n}"), &format!("l{}", n + 1))).collect();
        layer.extend([symlink(&format!("l{count}"), "d"), directory("d"), empty("l1/f")]);
        layer
    };
    assert!(paths(&tree([chain(LINK_HOPS_MAX)])).contains(&"d/f".to_owned()));
    let error = refused([chain(LINK_HOPS_MAX + 1)]);
    assert_eq!(error, Error::LinkHops { path: "l1/f".into(), max: 40 });
    for circle in [whiteout("a/x"), hard_link("x", "a/y"), opaque("a")] {
        let below = vec![symlink("a", "b"), symlink("b", "/a")];
        assert!(matches!(refused([below, vec![circle]]), Error::LinkHops { .. }));
    }
}

#[test]
fn links_that_lead_a_long_way_run_out_of_steps() {
    let long = "./".repeat(2000);
    let mut layer: Vec<_> = (1..40).map(|n| symlink(&format!("l{n}"), &format!("{long}l{}", n + 1))).collect();
    layer.push(symlink("l40", &format!("{long}d")));
    layer.extend([directory("d"), directory("d/a"), directory("d/b")]);
    layer.extend((0..2000).map(|n| empty(&format!("l1/{}/{n}", ["a", "b"][n % 2]))));
    assert!(matches!(refused([layer]), Error::LinkSteps { .. }));
}

#[test]
fn what_is_no_directory_cannot_be_a_parent() {
    let error = refused([vec![empty("a/b")], vec![empty("a/b/c/d")]]);
    assert_eq!(error.to_string(), r#"entry "a/b/c/d" lies below "a/b", which is not a directory"#);
    let through = refused([vec![empty("f"), symlink("l", "f"), empty("l/c")]]);
    assert_eq!(through, Error::ParentNotDirectory { path: "l/c".into(), parent: "l".into() });
}

#[test]
fn hard_links_share_an_inode_across_layers() {
    let tree = tree([vec![file("a", 9, 1)], vec![hard_link("d/b", "a"), hard_link("c", "d/b")]]);
    let expected = Item { kind: file("a", 9, 1).kind, meta: file("a", 9, 1).meta, links: 3, first: b"a".to_vec() };
    assert_eq!([at(&tree, "a"), at(&tree, "d/b"), at(&tree, "c")], [expected.clone(), expected.clone(), expected]);
}

#[test]
fn replacing_one_name_of_an_inode_leaves_the_others() {
    let below = vec![file("a", 9, 1), hard_link("b", "a"), hard_link("c", "a")];
    let tree = tree([below, vec![file("a", 5, 2), whiteout("b")]]);
    assert_eq!((at(&tree, "c").links, at(&tree, "c").kind), (1, file("c", 9, 1).kind));
    assert_eq!(at(&tree, "a").first, b"a");
    assert_eq!(paths(&tree), ["a", "c"]);
}

#[test]
fn a_hard_link_keeps_what_it_replaces_the_directory_of() {
    let tree = tree([vec![file("a/b", 9, 1), empty("a/c")], vec![hard_link("a", "a/b")], vec![hard_link("a", "a")]]);
    assert_eq!((paths(&tree), at(&tree, "a").links), (vec!["a".to_owned()], 1));
}

#[test]
fn a_hard_link_to_a_symbolic_link_is_one_too() {
    let tree = tree([vec![symlink("l", "x"), hard_link("m", "l")]]);
    assert_eq!(at(&tree, "m").kind, symlink("l", "x").kind);
}

#[test]
fn hard_links_to_nothing_and_to_directories_are_named() {
    let below = || vec![empty("d/f"), empty("gone")];
    for (target, text) in [
        ("d/none", r#"entry "l" is a hard link to "d/none", which does not exist"#),
        ("d/f/x", r#"entry "l" is a hard link to "d/f/x", which does not exist"#),
        ("gone", r#"entry "l" is a hard link to "gone", which does not exist"#),
        ("d", r#"entry "l" is a hard link to "d", which is a directory"#),
        ("", r#"entry "l" is a hard link to "/", which is a directory"#),
        ("d/../gone", r#"entry "d/../gone" has . or .. in its path"#),
    ] {
        assert_eq!(refused([below(), vec![whiteout("gone"), hard_link("l", target)]]).to_string(), text);
    }
}

#[test]
fn a_device_that_overlayfs_takes_for_a_whiteout_is_nothing() {
    let whiteout = || entry("a", Kind::CharDevice { major: 0, minor: 0 });
    let tree = tree([vec![empty("a"), empty("c")], vec![whiteout(), hard_link("b", "a")]]);
    assert_eq!(paths(&tree), ["c"]);
    let other = tree_over(tree, vec![entry("a", Kind::CharDevice { major: 0, minor: 1 })]);
    assert_eq!(paths(&other), ["a", "c"]);
}

#[test]
fn malformed_paths_are_refused_whatever_the_entry() {
    for bad in ["/a", "a/", "a//b", "a/../b", ".", "a\0b"] {
        for make in [empty, directory, whiteout, opaque] {
            assert!(matches!(refused([vec![make(bad)]]), Error::Entry { .. }), "{bad:?}");
        }
    }
    assert!(matches!(refused([vec![whiteout("")]]), Error::Entry { .. }));
    let long = refused([vec![symlink("l", &"x".repeat(256)), empty("l/f")]]);
    assert_eq!(long.to_string(), r#"entry "l/f" has a name of more than 255 bytes in its path"#);
}

fn limited(entries_max: u64, xattr_bytes_max: u64) -> Tree {
    Tree::new(Limits { entries_max, xattr_bytes_max })
}

#[test]
fn entries_up_to_the_limit_count_names_and_what_is_gone_does_not() {
    let mut tree = limited(3, 0);
    for n in 0..10 {
        let layer = vec![whiteout("d"), empty(&format!("d/{n}")), hard_link("d/l", &format!("d/{n}")), directory("")];
        tree.apply(layer, &[]).unwrap();
    }
    let error = tree.apply(vec![empty("e")], &[]).unwrap_err();
    assert_eq!(error.to_string(), r#"with entry "e" the image has more entries than 3 ([image] entries_max)"#);
    assert_eq!(error.hint(), "Use a smaller image, or raise the limit.");
    let implied = limited(3, 0).apply(vec![empty("a/b/c/d")], &[]);
    assert!(matches!(implied, Err(Error::TooLarge { key: "entries_max", limit: 3, .. })));
}

#[test]
fn attributes_up_to_the_limit_count_what_is_kept() {
    let long = |path: &str, len: usize| {
        with_xattrs(empty(path), &[("user.abc", &vec![0; len]), ("user.overlay.x", &[0; 100])])
    };
    let mut tree = limited(100, 100);
    for n in 0..10 {
        tree.apply(vec![long("a", 92), directory("d")], &[]).unwrap();
        tree.apply(vec![whiteout("a"), long(&format!("d/{n}"), 92), opaque("d")], &[]).unwrap();
        tree.apply(vec![opaque("d")], &[]).unwrap();
    }
    let error = tree.apply(vec![long("f", 93)], &[]).unwrap_err().to_string();
    let text = r#"with entry "f" the image has more bytes of extended attributes than 100 ([image] xattr_bytes_max)"#;
    assert_eq!(error, text);
}

#[test]
fn many_replacements_take_no_more_room_than_one() {
    let mut tree = limited(4, 0);
    let layer = (0..100_000).map(|n| if n % 2 == 0 { empty("a") } else { symlink("a", "b") }).collect();
    tree.apply(layer, &[]).unwrap();
    let mut numbers = Vec::new();
    let walked: Result<(), ()> = tree.walk(|visit| {
        numbers.push(visit.inode);
        Ok(())
    });
    assert!(walked.is_ok() && numbers.len() == 2 && numbers.iter().all(|n| *n < 4), "{numbers:?}");
}

proptest! {
    #[test]
    fn layers_merge_as_the_model_says(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (layers, _) = model::sound_layers(&bytes);
        let (mut tree, mut model) = (Tree::new(LIMITS), Model::new());
        for (n, layer) in layers.into_iter().enumerate() {
            model.apply(&layer, &layers::places(n)).unwrap();
            prop_assert_eq!(tree.apply(layer, &layers::places(n)), Ok(()));
            prop_assert_eq!(list(&tree), model.list());
        }
    }

    #[test]
    fn what_the_model_refuses_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (layers, refused) = model::sound_layers(&bytes);
        if let Some((at, entry)) = refused {
            let mut tree = Tree::new(LIMITS);
            for (n, layer) in layers.into_iter().take(at).enumerate() {
                tree.apply(layer, &layers::places(n)).unwrap();
            }
            prop_assert!(tree.apply(vec![entry.clone()], &layers::places(at)).is_err(), "{:?}", entry);
        }
    }
}
