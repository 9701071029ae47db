//! Disks for `/tmp` on a real file system, by behaviour. Needs root.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, openat, statat};
use tempfile::TempDir;
use volumes::{Config, Error, Volumes};

const MB: u64 = 1 << 20;

fn opened(folder: &TempDir, all_mb: u64) -> Volumes {
    let config = Config { tmp_all_mb_max: all_mb, tmp_ready_max: 1, ..Config::default() };
    Volumes::open(&folder.path().join("volumes"), config).expect("opened")
}

fn file(mount: &OwnedFd, name: &str) -> File {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    File::from(openat(mount, name, flags, Mode::RUSR | Mode::WUSR).expect("opened"))
}

/// Block devices over files of a folder.
fn devices(folder: &Path) -> usize {
    let folder = folder.display().to_string();
    let entries = std::fs::read_dir("/sys/block").expect("listed").flatten();
    let file = |entry: std::fs::DirEntry| std::fs::read_to_string(entry.path().join("loop/backing_file"));
    entries.filter_map(|entry| file(entry).ok()).filter(|file| file.contains(&folder)).count()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_disk_has_its_size_and_never_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = opened(&folder, 200);
    let disk = volumes.tmp_disk(32).expect("made");
    let stat = statat(&disk.mount, ".", rustix::fs::AtFlags::empty()).expect("there");
    assert_eq!(stat.st_mode & 0o7777, 0o1777);
    let mut full = file(&disk.mount, "full");
    let mut written = 0;
    let error = loop {
        match full.write_all(&[7; MB as usize]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!((24..32).contains(&written), "{written}");
    full.sync_all().expect("what was written is on the disk");
    drop((full, disk));
    volumes.close();
    until("the devices are gone", || devices(folder.path()) == 0);
}

#[test]
fn nothing_that_a_former_instance_wrote_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = opened(&folder, 200);
    let marker = b"what-a-former-instance-wrote";
    let former = volumes.tmp_disk(32).expect("made");
    let mut secret = file(&former.mount, "secret");
    let block: Vec<u8> = marker.iter().copied().cycle().take(MB as usize).collect();
    (0..20).for_each(|_| secret.write_all(&block).expect("written"));
    secret.sync_all().expect("written");
    drop((secret, former));
    for _ in 0..3 {
        let next = volumes.tmp_disk(32).expect("made");
        // Unwritten blocks of the file system must not expose the disk's old content.
        let mut raw = file(&next.mount, "raw");
        fallocate(&raw, FallocateFlags::empty(), 0, 24 * MB).expect("reserved");
        let mut bytes = Vec::new();
        raw.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes.len() as u64, 24 * MB);
        assert!(bytes.iter().all(|byte| *byte == 0), "bytes of another are seen");
    }
    volumes.close();
}

#[test]
fn all_disks_together_have_a_bound_and_ready_ones_make_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let volumes = opened(&folder, 100);
    let first = volumes.tmp_disk(32).expect("made");
    until("the next is ready", || devices(folder.path()) == 2);
    // 64 of 100 MB are used, half of it by ready disks.
    let second = volumes.tmp_disk(64).expect("there is room");
    let error = volumes.tmp_disk(16).expect_err("no room");
    assert!(matches!(error, Error::TmpFull { size_mb: 16, used_mb: 96, all_mb: 100 }), "{error}");
    assert!(error.to_string().contains("[volumes] tmp_all_mb_max"), "{error}");
    drop(second);
    volumes.tmp_disk(16).expect("there is room again");
    drop(first);
    volumes.close();
    until("the devices are gone", || devices(folder.path()) == 0);
}

#[test]
fn a_crash_leaves_nothing_of_a_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let tmp = folder.path().join("volumes/tmp");
    let volumes = opened(&folder, 100);
    let disk = volumes.tmp_disk(32).expect("made");
    // It has no name: the kernel frees it with its last mount, however the platform ends.
    let names: Vec<_> = std::fs::read_dir(&tmp).expect("listed").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["template-32"]);
    std::fs::write(tmp.join("template-64.new"), "half").expect("written");
    let after = opened(&folder, 100);
    assert_eq!(std::fs::read_dir(&tmp).expect("listed").count(), 0);
    after.tmp_disk(32).expect("made");
    drop(disk);
    volumes.close();
    after.close();
    until("the devices are gone", || devices(folder.path()) == 0);
}
