//! Tests of roots made of files, each in its own directory, with links that would lead out of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use sys::init::spec::Placement;
use tempfile::TempDir;

use super::*;

/// A root of directories (names that end with `/`), links (`name -> target`) and files, all owned
/// by the test's user.
fn root(entries: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in entries {
        let (name, target) = entry.split_once(" -> ").map_or((*entry, None), |(name, target)| (name, Some(target)));
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        match target {
            Some(target) => symlink(target, &path).expect("a link"),
            None if name.ends_with('/') => fs::create_dir_all(&path).expect("a directory"),
            None => fs::write(&path, "of the image").expect("a file"),
        }
    }
    folder
}

fn facts(layers: &[&Path], volumes: &[&str]) -> Result<Facts, Error> {
    facts_of(layers, volumes, false)
}

fn facts_of(layers: &[&Path], volumes: &[&str], covers_tmp: bool) -> Result<Facts, Error> {
    let lower_dirs: Vec<_> = layers.iter().map(|dir| dir.to_path_buf()).collect();
    let volumes: Vec<_> = volumes.iter().map(|volume| (*volume).to_owned()).collect();
    let image = Image {
        lower_dirs: &lower_dirs,
        user: "7:8",
        working_dir: "",
        volumes: &volumes,
        made_dirs_max: 20,
        covers_tmp,
    };
    Facts::read(&image)
}

#[test]
fn a_name_beyond_what_is_read_of_passwd_has_its_own_error() {
    let of = |fill: usize| {
        let folder = root(&["etc/passwd"]);
        let lines = format!("{}\nn:x:7:8::/home/n:/bin/sh\n", "#".repeat(fill));
        fs::write(folder.path().join("etc/passwd"), lines).expect("written");
        let lower_dirs = [folder.path().to_owned()];
        let image = |user| Image {
            lower_dirs: &lower_dirs,
            user,
            working_dir: "",
            volumes: &[],
            made_dirs_max: 20,
            covers_tmp: false,
        };
        ["n", "7", "other"].map(|user| Facts::read(&image(user)).map(|facts| facts.identity.uid))
    };
    assert!(matches!(of(3 << 20), [Ok(7), Ok(7), Err(Error::UnknownIdentity { .. })]));
    let [named, numeric, _] = of(4 << 20);
    let error = named.expect_err("it is not read").to_string();
    assert!(error.contains("/etc/passwd") && error.contains("4194304"), "{error}");
    assert_eq!(numeric.expect("a number needs no file"), 7);
}

fn path(target: &Target) -> String {
    let Target { parent, name } = target;
    [parent.as_slice(), name.as_slice()].iter().map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join("/")
}

#[test]
fn what_the_kernel_and_tmp_need_must_be_directories() {
    for (entries, path, what) in [
        (&["proc"][..], "/proc", "a file"),
        (&["sys"], "/sys", "a file"),
        (&["dev -> /elsewhere"], "/dev", "a symbolic link"),
        (&["proc -> /"], "/proc", "a symbolic link"),
        (&["tmp"], "/tmp", "a file"),
        (&["tmp -> file", "file"], "/tmp", "a file"),
        (&["tmp -> tmp"], "/tmp", "a symbolic link"),
        (&["tmp -> /"], "/tmp", "a symbolic link"),
        (&["tmp -> ../../dev"], "/tmp", "a symbolic link"),
        (&["tmp -> /dev/shm/x"], "/tmp", "a symbolic link"),
        (&["tmp -> /proc/x"], "/tmp", "a symbolic link"),
    ] {
        let root = root(entries);
        let error = facts(&[root.path()], &[]).expect_err(entries[0]);
        assert!(error.is_images_fault(), "{error}");
        assert!(
            error.to_string().contains(&format!("has {what}")) && error.to_string().contains(&format!(" at {path},")),
            "{error}"
        );
    }
}

#[test]
fn a_tmp_with_entries_is_kept_and_any_other_is_a_mount() {
    for (entries, mounted) in [
        (&[][..], Some("/tmp")),
        (&["tmp/"], Some("/tmp")),
        (&["tmp -> var/tmp", "var/tmp/"], Some("var/tmp")),
        (&["tmp -> /var/volatile/tmp", "var/"], Some("var/volatile/tmp")),
        (&["tmp/file"], None),
        (&["tmp/.hidden/"], None),
        (&["tmp -> var/tmp", "var/tmp/file"], None),
    ] {
        let root = root(entries);
        let facts = facts(&[root.path()], &[]).expect("nothing is in the way");
        match (&facts.tmp, mounted) {
            (Tmp::Mounted(place), Some(want)) => assert_eq!(path(place), want),
            (Tmp::Kept(Some(_)), None) => {}
            other => panic!("{entries:?}: {other:?}"),
        }
        let dirs: Vec<_> = facts.dirs.iter().map(|dir| path(&dir.target)).collect();
        let want: &[&str] =
            if mounted == Some("var/volatile/tmp") { &["var/volatile", "var/volatile/tmp"] } else { &[] };
        assert_eq!(dirs, want, "{entries:?}");
    }
    let root = root(&["tmp/file"]);
    fs::set_permissions(root.path().join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
    assert_eq!(facts(&[root.path()], &[]).expect("good").tmp, Tmp::Kept(None), "its mode is right");
}

#[test]
fn a_disk_covers_a_tmp_with_entries_and_has_the_directories_that_are_wanted_in_it() {
    let root = root(&["tmp/cache/file", "tmp/other"]);
    let facts = facts_of(&[root.path()], &["/tmp/cache", "/tmp/new/one", "/srv"], true).expect("good");
    assert!(matches!(&facts.tmp, Tmp::Mounted(place) if path(place) == "/tmp"), "{:?}", facts.tmp);
    let names = |dirs: &[Dir]| dirs.iter().map(|dir| path(&dir.target)).collect::<Vec<_>>();
    assert_eq!(names(&facts.tmp_dirs), ["/cache", "/new", "new/one"]);
    assert_eq!(names(&facts.dirs), ["/srv"]);
    let linked = self::root(&["tmp -> /dev/shm"]);
    let error = facts_of(&[linked.path()], &[], true).expect_err("no disk").to_string();
    assert!(error.contains("a link to /dev/shm at /tmp"), "{error}");
}

#[test]
fn a_tmp_that_leads_to_shared_memory_is_that() {
    for entries in
        [&["tmp -> /dev/shm"][..], &["tmp -> ../dev/shm", "dev/shm/"], &["tmp -> t", "t -> /dev/shm", "dev/"]]
    {
        let root = root(entries);
        let facts = facts(&[root.path()], &["/tmp/volume"]).expect("nothing is in the way");
        assert_eq!((facts.tmp, facts.dirs.len(), facts.tmp_dirs.len()), (Tmp::Kept(None), 0, 0), "{entries:?}");
    }
}

#[test]
fn volumes_that_the_layers_lack_are_made_for_the_user() {
    let root = root(&["there/", "file", "link -> /far/away", "out -> ../../../..", "etc -> /"]);
    let volumes = [
        "/data",
        "there",
        "/file",
        "/data/in/../deep",
        "link",
        "out/x",
        "/proc/y",
        "/tmp/cache",
        "/",
        "/there/new/",
        "/file/z",
    ];
    let facts = facts(&[root.path()], &volumes).expect("good");
    let made = |dirs: &[Dir]| dirs.iter().map(|dir| (path(&dir.target), dir.owner)).collect::<Vec<_>>();
    let user = (7, 8);
    let want =
        [("/data", user), ("data/deep", user), ("/far", ROOT), ("far/away", user), ("there/new", user), ("/x", user)];
    assert_eq!(made(&facts.dirs), want.map(|(path, owner)| (path.to_owned(), owner)));
    assert_eq!(made(&facts.tmp_dirs), [("/cache".to_owned(), user)]);
}

#[test]
fn more_directories_than_may_be_made_are_refused_and_names_that_no_file_can_have_are_left_out() {
    let root = root(&["there/"]);
    let of = |volume: &str| facts(&[root.path()], &[volume]).map(|facts| facts.dirs.len());
    assert_eq!(of(&"/d".repeat(20)).expect("as many as may be"), 20);
    let error = of(&"/d".repeat(21)).expect_err("too many");
    assert!(error.is_images_fault() && error.to_string().contains("made_dirs_max"), "{error}");
    let many: Vec<_> = (0..21).map(|number| format!("/there/{number}")).collect();
    facts(&[root.path()], &many.iter().map(String::as_str).collect::<Vec<_>>()).expect_err("too many");
    for odd in ["n".repeat(256), "/d".repeat(3000), "/a\0b".to_owned(), format!("{}there", "there/../".repeat(1000))] {
        assert_eq!(of(&odd).expect("left out"), 0, "{odd:?}");
    }
}

#[test]
fn files_of_etc_go_where_links_lead_inside_of_the_root() {
    // The image's entries; the path of hosts; directories that are created for it.
    for (entries, hosts, dirs) in [
        (&["etc/hosts -> ../run/systemd/hosts"][..], Some("run/systemd/hosts"), &["/run", "run/systemd"][..]),
        (&["etc/hosts -> /../../../var/hosts", "var/"], Some("var/hosts"), &[]),
        (&["etc/hosts -> a", "etc/a -> b"], Some("etc/b"), &[]),
        (&["etc -> usr/etc"], Some("usr/etc/hosts"), &["/usr", "usr/etc"]),
        (&["etc -> usr/etc", "usr/etc/hosts -> /etc/other"], Some("usr/etc/other"), &[]),
        // Otherwise the link is replaced.
        (&["etc/hosts -> a", "etc/a"], Some("etc/hosts"), &[]),
        (&["etc/hosts -> hosts"], Some("etc/hosts"), &[]),
        (&["etc/hosts -> /proc/sys/kernel/core_pattern"], Some("etc/hosts"), &[]),
        (&["etc/hosts -> /dev/null"], Some("etc/hosts"), &[]),
        (&["etc/hosts -> /tmp/hosts"], Some("etc/hosts"), &[]),
        (&["etc/hosts -> /tmp/hosts", "tmp/file"], Some("tmp/hosts"), &[]),
        (&["etc/hosts -> /dir", "dir/"], Some("etc/hosts"), &[]),
        (&["etc/hosts -> /file/below", "file"], Some("etc/hosts"), &[]),
        (&["etc/hosts -> /"], Some("etc/hosts"), &[]),
        // Anything but a link stays.
        (&["etc/hosts/", "etc/resolv.conf -> x"], None, &[]),
        (&["etc"], None, &[]),
        (&["etc -> etc"], None, &[]),
    ] {
        let root = root(entries);
        let etc = facts(&[root.path()], &[]).expect("good").etc;
        assert_eq!(etc.placement, Placement::Root, "{entries:?}");
        assert_eq!(etc.files[0].as_ref().map(path).as_deref(), hosts, "{entries:?}");
        let made: Vec<_> = etc.dirs.iter().map(|dir| path(&dir.target)).collect();
        assert_eq!(made, dirs, "{entries:?}");
    }
}

#[test]
fn only_where_nobody_sees_a_difference_files_are_put_ahead() {
    let of = |roots: &[&Path]| {
        let etc = facts(roots, &[]).expect("good").etc;
        assert!(etc.files.iter().all(Option::is_some));
        (etc.placement, etc.dirs.first().map(|dir| dir.mode))
    };
    let root = root(&[]);
    let root = root.path();
    assert_eq!(of(&[root]), (Placement::WritableLayer, Some(0o755)), "an image without the directory");
    assert_eq!(of(&[root, root]).0, Placement::Root, "several layers");
    let etc = root.join("etc");
    fs::create_dir(&etc).expect("a directory");
    fs::set_permissions(&etc, fs::Permissions::from_mode(0o750)).expect("a mode");
    fs::write(etc.join("hosts"), "::1 me\n").expect("a file");
    // Directories of root can be told from others only as root; the tests may run as any user.
    if rustix::process::geteuid().is_root() {
        assert_eq!(of(&[root]), (Placement::WritableLayer, Some(0o750)));
    }
    symlink("/elsewhere", etc.join("resolv.conf")).expect("a link");
    assert_eq!(of(&[root]).0, Placement::Root, "a link in a file's place");
}

#[test]
fn the_topmost_layers_file_counts() {
    let (top, bottom) = (root(&[]), root(&["etc/passwd"]));
    let read =
        || text(&Merged::open(&[top.path().to_owned(), bottom.path().to_owned()]).expect("opened"), "etc/passwd");
    assert_eq!(read(), "of the image");
    fs::create_dir(top.path().join("etc")).expect("made");
    assert_eq!(read(), "of the image");
    let opaque = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(top.path().join("etc"), "trusted.overlay.opaque", b"y", opaque).expect("marked");
    assert_eq!(read(), "");
    fs::write(top.path().join("etc/passwd"), "above").expect("written");
    assert_eq!(read(), "above");
    fs::remove_dir_all(top.path().join("etc")).expect("removed");
    symlink("/srv", top.path().join("etc")).expect("a link");
    fs::create_dir(bottom.path().join("srv")).expect("made");
    fs::write(bottom.path().join("srv/passwd"), "through a link").expect("written");
    assert_eq!(read(), "through a link", "of one layer into another");
    let whiteout = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, top.path().join("srv"), whiteout, rustix::fs::Mode::empty(), 0).expect("made");
    assert_eq!(read(), "", "a whiteout");
}

#[test]
fn what_is_outside_of_the_root_is_never_read() {
    let outside = root(&["secret"]);
    let secret = outside.path().join("secret");
    let inside = root(&[]);
    for target in [secret.display().to_string(), format!("../../../../../..{}", secret.display())] {
        fs::create_dir_all(inside.path().join("etc")).expect("made");
        symlink(&target, inside.path().join("etc/passwd")).expect("a link");
        assert_eq!(text(&Merged::open(&[inside.path().to_owned()]).expect("opened"), "etc/passwd"), "", "{target}");
        fs::remove_dir_all(inside.path().join("etc")).expect("removed");
    }
}

#[test]
fn marks_of_directories_outside_of_the_root_say_nothing() {
    // An upper layer's `etc` leads to a directory of the host that is marked as hiding what is
    // below.
    let outside = root(&["etc/passwd"]);
    let marked = outside.path().join("etc");
    let opaque = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&marked, "trusted.overlay.opaque", b"y", opaque).expect("marked");
    let (top, bottom) = (root(&[]), root(&["a/passwd"]));
    let read = |path| text(&Merged::open(&[top.path().to_owned(), bottom.path().to_owned()]).expect("opened"), path);
    assert_eq!(read("a/passwd"), "of the image");
    symlink(&marked, top.path().join("a")).expect("a link");
    assert_eq!(read("a/passwd"), "", "the link hides the directory, and leads nowhere in the root");
    let etc = facts(&[top.path(), bottom.path()], &[]).expect("nothing is in the way").etc;
    assert!(etc.files.iter().all(Option::is_some), "{etc:?}");
    fs::remove_file(top.path().join("a")).expect("removed");
    symlink(&marked, top.path().join("etc")).expect("a link");
    assert_eq!(read("etc/passwd"), "");
    assert_eq!(read("a/passwd"), "of the image");
}

#[test]
fn a_volume_is_its_users_where_a_link_of_etc_leads_into_it() {
    let root = root(&["etc/", "etc/hosts -> /data/h"]);
    let facts = facts(&[root.path()], &["/data"]).expect("fine");
    let made: Vec<_> = facts.etc.dirs.iter().chain(&facts.dirs).filter(|dir| dir.target.name == b"data").collect();
    assert!(!made.is_empty() && made.iter().all(|dir| dir.owner == (7, 8)), "{made:?}");
}
