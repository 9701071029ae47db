//! Volumes on real file systems, by behaviour. Needs root.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use tempfile::TempDir;
use types::{Mount, VolumeName};
use volumes::{Config, Error, Kind, VolumeSettings, Volumes};

fn mount(text: &str) -> Mount {
    Mount::parse(text).expect("valid")
}

fn name(text: &str) -> VolumeName {
    text.parse().expect("valid")
}

fn dir(path: &Path) -> VolumeSettings {
    VolumeSettings { path: Some(path.to_owned()), ..VolumeSettings::default() }
}

fn opened(folder: &TempDir, named: &[(&str, VolumeSettings)]) -> Volumes {
    let root = folder.path().join("root");
    fs::create_dir_all(&root).expect("made");
    let named = named.iter().map(|(name, settings)| ((*name).to_owned(), settings.clone())).collect();
    let config = Config { roots: vec![root], named, ..Config::default() };
    Volumes::open(&folder.path().join("volumes"), config).expect("opened")
}

#[test]
fn a_volume_of_the_settings_is_made_below_its_root_and_can_be_mounted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("root/a/data");
    let volumes = opened(&folder, &[("data", dir(&path))]);
    volumes.check(&mount("data/in:/d")).expect("usable");
    assert_eq!(fs::metadata(path.join("in")).expect("made").uid(), 10_000);
    volumes.check(&mount("data/of:/d:uid=20000,gid=20000")).expect("usable");
    let error = volumes.check(&mount("data:/d:uid=20000,gid=20000")).expect_err("of another").to_string();
    assert!(error.contains("belongs to 10000:10000") && error.contains("chown it to 20000:20000"), "{error}");
    chown(&path, Some(0), Some(0)).expect("changed");
    let error = volumes.check(&mount("data:/d")).expect_err("root's").to_string();
    assert!(error.contains("belongs to 0:0") && error.contains(&path.display().to_string()), "{error}");
    volumes.check(&mount("data:/d:ro")).expect("to read it is enough");
    assert!(matches!(volumes.begin_delete(&name("data")), Err(Error::OfSettings { .. })));
    assert!(matches!(volumes.source(&mount("other:/d")), Err(Error::NotFound { .. })));
}

#[test]
fn only_file_systems_of_this_machine_are_local() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = |name: &str| folder.path().join("root").join(name);
    let squashed = VolumeSettings { squash: true, ..dir(&root("squashed")) };
    let named = [("data", dir(&root("data"))), ("squashed", squashed), ("missing", dir(Path::new("/elsewhere")))];
    let volumes = opened(&folder, &named);
    let local = |volume: &str| volumes.is_local(&name(volume));
    assert!(local("data"), "the folder of temporary files is on a disk or in memory");
    // `squash` is for file systems of servers, and a volume that is missing may have to be mounted.
    assert!(!local("squashed") && !local("missing") && !local("other"));
}

#[test]
fn a_volume_that_cannot_be_used_is_listed_with_its_problem_until_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let (outside, path) = (folder.path().join("outside"), folder.path().join("root/data"));
    fs::create_dir_all(folder.path().join("root")).expect("made");
    fs::write(&path, "in the way").expect("written");
    let read_only = VolumeSettings { read_only: true, ..dir(&folder.path().join("root/ro")) };
    let named = [("outside", dir(&outside)), ("data", dir(&path)), ("ro", read_only)];
    let volumes = opened(&folder, &named);
    let problems: Vec<_> = volumes.list().into_iter().map(|volume| volume.problem.unwrap_or_default()).collect();
    assert!(problems[0].contains("not a directory"), "{problems:?}");
    assert!(problems[1].contains("not below a directory of [volumes] roots"), "{problems:?}");
    assert_eq!(problems[2], "");
    assert!(!outside.exists());
    assert!(matches!(volumes.check(&mount("ro:/d")), Err(Error::ReadOnly { .. })));
    volumes.check(&mount("ro:/d:ro")).expect("usable");
    fs::remove_file(&path).expect("removed");
    volumes.check(&mount("data:/d")).expect("it is there by now");
    // A process with write access to the parent replaces it by a link.
    fs::remove_dir(&path).expect("removed");
    symlink("/etc", &path).expect("made");
    let error = volumes.source(&mount("data:/d")).expect_err("not followed").to_string();
    assert!(error.contains("symbolic link"), "{error}");
}

#[test]
fn a_volume_made_by_command_stays_until_it_is_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = opened(&folder, &[]);
    let created = |settings| volumes.create(&name("made"), settings);
    created(VolumeSettings::default()).expect("made");
    assert!(matches!(created(VolumeSettings::default()), Err(Error::Exists { .. })));
    let outside = volumes.create(&name("other"), dir(Path::new("/etc")));
    assert!(matches!(outside, Err(Error::OutsideRoots { .. })), "a key pair is not root of the machine");
    volumes.check(&mount("made/sub:/d")).expect("usable");
    let again = opened(&folder, &[]);
    let list = again.list();
    assert_eq!((list.len(), list[0].made, list[0].problem.clone()), (1, true, None));
    let path = list[0].path.clone().expect("it has a directory");
    fs::write(path.join("sub/file"), "kept").expect("written");
    assert_eq!(again.usage(&name("made")).expect("read").files, 2);
    let deletion = again.begin_delete(&name("made")).expect("found");
    assert!(matches!(again.source(&mount("made:/d")), Err(Error::NotFound { .. })), "nothing new finds it");
    let meanwhile = again.create(&name("made"), VolumeSettings::default());
    assert!(matches!(meanwhile, Err(Error::Changing { .. })), "nor takes its place");
    drop(deletion);
    again.source(&mount("made:/d")).expect("it is there again");
    again.begin_delete(&name("made")).expect("found").finish().expect("removed");
    assert!(again.list().is_empty() && !path.exists());
    assert!(opened(&folder, &[]).list().is_empty());
}

#[test]
fn a_given_directory_stays_when_its_volume_is_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = opened(&folder, &[]);
    let path = folder.path().join("root/mine");
    volumes.create(&name("mine"), dir(&path)).expect("made");
    fs::write(path.join("file"), "kept").expect("written");
    volumes.begin_delete(&name("mine")).expect("found").finish().expect("forgotten");
    assert!(path.join("file").exists());
}

#[test]
fn a_volume_in_memory_has_its_size_and_mode() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = VolumeSettings { kind: Kind::Tmpfs, size_mb: Some(2), ..VolumeSettings::default() };
    let given = VolumeSettings { mode: Some("1770".to_owned()), ..memory.clone() };
    let volumes = opened(&folder, &[("memory", memory), ("given", given)]);
    for (text, mode) in [("memory:/d", 0o755), ("given:/d", 0o1770)] {
        volumes.check(&mount(text)).expect("usable");
        let source = volumes.source(&mount(text)).expect("there");
        let root = openat(&source.dir, ".", OFlags::RDONLY, Mode::empty()).expect("opened");
        let meta = fs::File::from(root).metadata().expect("read");
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (mode, 10_000, 10_000), "{text}");
    }
    let place = folder.path().join("volumes/mounts/memory");
    let full = fs::write(place.join("file"), vec![7; 3 << 20]).expect_err("it is full");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    // Leftovers of a crash do not prevent reopening.
    let again = opened(&folder, &[]);
    assert!(again.list().is_empty() && !place.exists());
    volumes.close();
    let memory = VolumeSettings { kind: Kind::Tmpfs, size_mb: Some(2), ..VolumeSettings::default() };
    again.create(&name("memory"), memory).expect("made");
    assert!(place.exists());
    again.begin_delete(&name("memory")).expect("found").finish().expect("removed");
    assert!(!place.exists(), "nothing of it is left");
}

/// Writes to scattered reserved blocks, around which a file system may write zeros.
fn scatter(path: &Path) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(path).expect("made");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 4 << 20).expect("there is room");
    for at in (0..4 << 20).step_by(24 << 10) {
        file.write_all_at(b"x", at).expect("written");
    }
    file.sync_all().expect("synced");
    fs::remove_file(path).expect("removed");
}

#[test]
fn an_image_has_its_size_and_grows_while_it_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = opened(&folder, &[]);
    let image = VolumeSettings { kind: Kind::Image, size_mb: Some(16), ..VolumeSettings::default() };
    volumes.create(&name("disk"), image.clone()).expect("made");
    volumes.check(&mount("disk:/d")).expect("usable");
    assert_eq!(volumes.usage(&name("disk")).expect("read").files, 0, "databases refuse a lost+found");
    let data = folder.path().join("volumes/mounts/disk/data");
    fs::write(data.join("kept"), "kept").expect("written");
    let fill = || fs::write(data.join("large"), vec![7; 20 << 20]);
    assert_eq!(fill().expect_err("it is full").kind(), std::io::ErrorKind::StorageFull);
    fs::remove_file(data.join("large")).expect("removed");
    assert!(volumes.grow(&name("disk"), 16).is_err());
    let error = volumes.grow(&name("disk"), (1 << 44) + 64).expect_err("in bytes it would be 64 MB").to_string();
    assert!(error.contains("more than 16777216 MB"), "{error}");
    // Without CAP_SYS_RESOURCE the kernel does not grow a mounted file system.
    let now = volumes.grow(&name("disk"), 48).expect("grown");
    if now {
        fill().expect("there is room");
    }
    // Its blocks stay reserved, whatever is written or deleted in it.
    scatter(&data.join("scattered"));
    let blocks = fs::metadata(folder.path().join("volumes/images/disk")).expect("there").blocks();
    assert!(blocks * 512 >= 48 << 20, "{blocks}");
    volumes.close();
    let again = opened(&folder, &[]);
    assert_eq!(fs::read_to_string(data.join("kept")).expect("there"), "kept");
    assert_eq!(again.list()[0].settings.size_mb, Some(48));
    fill().expect("there is room");
    // A crash leaves it mounted; it is still attached only once.
    drop((volumes, again));
    let after_a_crash = opened(&folder, &[]);
    assert_eq!(fs::read_to_string(data.join("kept")).expect("there"), "kept");
    after_a_crash.begin_delete(&name("disk")).expect("found").finish().expect("removed");
    assert!(!folder.path().join("volumes/images/disk").exists());
}

#[test]
fn a_file_system_without_idmapped_mounts_is_refused_by_name_unless_it_squashes() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    for name in ["root/merged", "lower", "upper", "work"] {
        fs::create_dir_all(folder.path().join(name)).expect("made");
    }
    let at = |name: &str| folder.path().join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    let merged = root.join("merged");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "overlay", "none", "-o", &options])
        .arg(&merged)
        .status()
        .expect("mount");
    assert!(mounted.success());
    chown(&merged, Some(10_000), Some(10_000)).expect("changed");
    let open = |named: &[(&str, VolumeSettings)]| {
        let named = named.iter().map(|(name, settings)| ((*name).to_owned(), settings.clone())).collect();
        let config = Config { roots: vec![merged.clone()], named, ..Config::default() };
        Volumes::open(&folder.path().join("volumes"), config).expect("opened")
    };
    let volumes = open(&[("data", dir(&merged)), ("all", VolumeSettings { squash: true, ..dir(&merged) })]);
    let error = volumes.check(&mount("data:/d")).map(|()| String::new()).unwrap_or_else(|error| error.report());
    let path = merged.display().to_string();
    assert!(error.contains("overlay") && error.contains(&path) && error.contains("squash = true"), "{error}");
    volumes.check(&mount("all:/d")).expect("usable");
    assert_eq!(volumes.source(&mount("all:/d")).expect("there").owner, None);
    // Another file system below a root is a root of its own.
    let below = Config { roots: vec![root], named: [("b".to_owned(), dir(&merged))].into(), ..Config::default() };
    let below = Volumes::open(&folder.path().join("others"), below).expect("opened");
    assert!(below.list()[0].problem.as_ref().is_some_and(|problem| problem.contains("another file system")));
    assert!(std::process::Command::new("umount").arg(&merged).status().expect("umount").success());
}

fn image(size_mb: u64) -> VolumeSettings {
    VolumeSettings { kind: Kind::Image, size_mb: Some(size_mb), ..VolumeSettings::default() }
}

#[test]
fn an_image_of_the_settings_grows_by_them_and_never_shrinks() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("volumes/mounts/disk/data");
    let volumes = opened(&folder, &[("disk", image(16))]);
    fs::write(data.join("kept"), "kept").expect("written");
    let error = volumes.grow(&name("disk"), 48).expect_err("of the settings").to_string();
    assert!(error.contains("raise [volumes.disk] size_mb"), "{error}");
    drop(volumes);
    for (wanted, has) in [(48, 48), (24, 48)] {
        let volumes = opened(&folder, &[("disk", image(wanted))]);
        assert_eq!(volumes.list()[0].settings.size_mb, Some(has));
        let usage = volumes.usage(&name("disk")).expect("read");
        assert!((36 << 20..has << 20).contains(&usage.size_bytes), "{usage:?}");
        assert!(usage.free_bytes <= usage.size_bytes && usage.files == 1, "{usage:?}");
        assert_eq!(fs::read_to_string(data.join("kept")).expect("there"), "kept");
        volumes.close();
    }
    // Removed from the settings it stays on disk, and a command cannot create another of its name.
    let without = opened(&folder, &[]);
    let error = without.create(&name("disk"), image(16)).expect_err("in the way").to_string();
    assert!(error.contains("volume that the settings had"), "{error}");
    assert!(folder.path().join("volumes/images/disk").exists());
}

#[test]
fn what_a_crash_leaves_of_making_growing_and_deleting_an_image_is_put_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (made, images) = (folder.path().join("volumes/made"), folder.path().join("volumes/images"));
    drop(opened(&folder, &[]));
    // A crash during creation: the image half-written, or complete without a record.
    fs::create_dir_all(made.join("half")).expect("made");
    fs::write(images.join("half.new"), "half").expect("written");
    fs::create_dir_all(made.join("whole")).expect("made");
    fs::write(images.join("whole"), "whole").expect("written");
    let volumes = opened(&folder, &[]);
    assert!(volumes.list().is_empty());
    assert_eq!((fs::read_dir(&made).expect("there").count(), fs::read_dir(&images).expect("there").count()), (0, 0));
    // A crash during growth: the file has grown, its file system has not, and the record is the old
    // one.
    volumes.create(&name("disk"), image(16)).expect("made");
    let data = folder.path().join("volumes/mounts/disk/data");
    fs::write(data.join("kept"), "kept").expect("written");
    volumes.close();
    drop(volumes);
    let file = fs::OpenOptions::new().write(true).open(images.join("disk")).expect("there");
    file.set_len(64 << 20).expect("grown");
    let volumes = opened(&folder, &[]);
    assert_eq!(volumes.list()[0].settings.size_mb, Some(64));
    assert!(volumes.usage(&name("disk")).expect("read").size_bytes > 48 << 20);
    assert_eq!(fs::read_to_string(data.join("kept")).expect("there"), "kept");
    // A crash during deletion: without its record the volume counts as deleted.
    volumes.close();
    drop(volumes);
    fs::remove_file(made.join("disk/volume.json")).expect("removed");
    assert!(opened(&folder, &[]).list().is_empty() && !images.join("disk").exists());
}

#[test]
fn a_program_that_outlives_the_platform_keeps_others_from_the_image() {
    use rustix::fs::{FlockOperation, flock};
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = opened(&folder, &[]);
    volumes.create(&name("disk"), image(16)).expect("made");
    volumes.close();
    drop(volumes);
    let path = folder.path().join("volumes/images/disk");
    let at_work = fs::File::open(&path).expect("there");
    let locked = || flock(&at_work, FlockOperation::NonBlockingLockExclusive).is_ok();
    while !locked() {
        std::thread::yield_now();
    }
    let waiting = std::thread::scope(|scope| {
        let opening = scope.spawn(|| opened(&folder, &[]));
        std::thread::yield_now();
        assert!(!folder.path().join("volumes/mounts/disk/data").exists());
        flock(&at_work, FlockOperation::Unlock).expect("unlocked");
        opening.join().expect("opened")
    });
    assert_eq!(waiting.list()[0].problem, None);
    let again = flock(&at_work, FlockOperation::NonBlockingLockExclusive);
    assert!(again.is_err(), "whoever has it mounted has the lock");
    waiting.close();
}

#[test]
fn a_full_disk_refuses_an_image_and_keeps_nothing_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = folder.path().join("volumes");
    fs::create_dir(&small).expect("made");
    let run = |program: &str, args: &[&str]| {
        let status = std::process::Command::new(program).args(args).arg(&small).status().expect("there");
        assert!(status.success(), "{program}");
    };
    run("mount", &["-t", "tmpfs", "-o", "size=64m", "none"]);
    let volumes = opened(&folder, &[]);
    volumes.create(&name("disk"), image(24)).expect("there is room");
    let free = || rustix::fs::statvfs(&small).expect("there").f_bavail;
    let before = free();
    for refused in [volumes.create(&name("other"), image(100)), volumes.grow(&name("disk"), 100).map(drop)] {
        let error = refused.expect_err("no room").to_string();
        assert!(error.contains("the disk has no 100 MB for it"), "{error}");
    }
    assert!(free() >= before - 16, "{before} {}", free());
    assert_eq!(volumes.list()[0].settings.size_mb, Some(24));
    volumes.begin_delete(&name("disk")).expect("found").finish().expect("removed");
    volumes.close();
    drop(volumes);
    run("umount", &["-l"]);
}
