//! What upper layers do to lower ones.

use super::*;

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
