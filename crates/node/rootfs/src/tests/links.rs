//! Names and links, those that lead out of the root among them.

use super::*;

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
fn parents_within_the_root_are_removed_from_names() {
    let place = Place::new();
    fs::write(place.path("outside"), "untouched").expect("written");
    let low = Tar::default().file("etc/gone", "g").symlink("q", "/etc/deep");
    let top = Tar::default()
        // The link `q` of the lower layer is not followed.
        .file("q/../b", "b")
        .file("x/y", "y")
        .hard_link("linked", "x/../x/y")
        .file("none/../etc/.wh.gone", "")
        .pax(&[("path", b"a/b/../../outside")])
        .file("short", "inside")
        .pax(&[("linkpath", b"a/../outside")])
        .hard_link("again", "short");
    place.stack("l", vec![low, top]).expect("valid");
    let at = |name: &str| place.path("l").join(name);
    let contents = ["b", "linked", "outside", "again"].map(|name| read(at(name)));
    assert_eq!(contents, ["b", "y", "inside", "inside"]);
    assert!(["etc/gone", "a", "none", "short"].iter().all(|name| !at(name).exists()));
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
