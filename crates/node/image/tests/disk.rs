//! A full disk. Needs root with CAP_SYS_ADMIN, to mount a small file system.

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use image::{Config, Images};
use registry_client::Anonymous;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use support::registry::Registry;
use support::{config, image, layer, list, noise, request};
use types::RunStatus;

/// A file system of a few megabytes, unmounted when dropped.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(c"size=2m"))
            .expect("mounting a tmpfs needs root with CAP_SYS_ADMIN");
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("images")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(self.dir.path(), UnmountFlags::DETACH).expect("mounted above");
    }
}

#[tokio::test]
async fn room_is_made_by_what_nobody_needs_but_not_soon_after_a_start() {
    let (disk, registry) = (SmallDisk::new(), Registry::start().await);
    let (old, new) =
        (image(&[layer(&[("old", &noise(1_300_000, 1))])]), image(&[layer(&[("new", &noise(1_300_000, 2))])]));
    let (old, new) = (registry.serve("old", &old), registry.serve("new", &new));
    let path = disk.path();
    let open = async |start_keep_s| Images::open(&path, Config { start_keep_s, ..config() }, Arc::new(Anonymous)).await;
    let images = open(600).await.expect("there is room for nothing");
    images.prepare(request(&old, "owner")).await.expect("there is room for this");
    images.unpin("owner").await.expect("unpinned");
    let error = images.prepare(request(&new, "owner")).await.expect_err("no room");
    assert_eq!(error.code(), "DiskFull");
    assert!(error.report().contains("sampan images prune"), "{}", error.report());
    images.shutdown().await;
    let images = open(0).await.expect("what was there can be opened");
    images.prepare(request(&new, "owner")).await.expect("room is made");
}

#[tokio::test]
async fn a_full_disk_is_named_and_what_was_half_made_goes() {
    let (disk, registry) = (SmallDisk::new(), Registry::start().await);
    let images = Images::open(&disk.path(), config(), Arc::new(Anonymous)).await.expect("there is room for nothing");
    let small = registry.serve("small", &image(&[layer(&[("a", "1")])]));
    images.prepare(request(&small, "kept")).await.expect("there is room for this");
    let downloads = image(&[layer(&[("noise", &noise(4 << 20, 5))])]);
    let unpacks = image(&[layer(&[("zeros", &"0".repeat(4 << 20))])]);
    for (tag, full) in [("downloads", downloads), ("unpacks", unpacks)] {
        let error = images.prepare(request(&registry.serve(tag, &full), "owner")).await.expect_err("no room");
        assert_eq!((error.code(), error.run_status()), ("DiskFull", RunStatus::InsufficientResources), "{tag}");
        let report = error.report();
        assert!(report.contains(disk.path().to_str().expect("text")) && report.contains("Free space"), "{report}");
        assert_eq!(list(&disk.path().join("drafts")), Vec::<String>::new());
    }
    images.prepare(request(&small, "kept")).await.expect("what was there still is");
    assert_eq!(images.content().pinned("owner"), None);
}
