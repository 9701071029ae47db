//! Full disks, files that cannot grow, and locks of other processes: a write fails, and the next
//! one succeeds.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use store::{Config, Error, Store};
use support::failing_writes::{exists, fails_at_each_statement};
use support::{active, image, new_function};

/// A separate file system, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(bytes: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={bytes}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).status();
        assert!(mount.unwrap().success(), "tests of file systems need root");
        Self(dir)
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Leaves `bytes` free.
    fn leave(&self, bytes: u64) {
        let free = |path: &Path| rustix::fs::statvfs(path).unwrap();
        let room = free(self.0.path());
        let taken = (room.f_bavail * room.f_frsize).saturating_sub(bytes);
        fs::write(self.filler(), vec![1; taken as usize]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_any_statement_leaves_the_next_write_well() {
    let disk = SmallDisk::new(24 << 20);
    let store = Store::open(&disk.0.path().join("state/sampan.db"), Config::default()).await.unwrap();
    fails_at_each_statement(&store, |more| disk.leave(more), || fs::remove_file(disk.filler()).unwrap()).await;
    drop(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_another_process_fails_one_write_only() {
    let home = support::Home::with(Config { busy_timeout_ms: 50, ..Config::default() });
    let store = home.open().await;
    active(&store, "before", image(1)).await;
    let mut other = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(home.path())).await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let refused = store.create_function(new_function("refused")).await;
    assert!(matches!(refused, Err(Error::Query { .. })), "{refused:?}");
    held.rollback().await.unwrap();
    assert!(!exists(&store, "refused").await);
    store.create_function(new_function("taken")).await.unwrap();
}
