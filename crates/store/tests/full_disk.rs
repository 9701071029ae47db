//! Disks that are full, files that cannot grow, and locks of others: a write fails, and the next
//! one does not.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use store::{Config, Error, Store};
use support::{active, image, key, new_function};
use tokio::signal::unix::{SignalKind, signal};

/// `SIGXFSZ`: a file would grow beyond its limit; with a handler the write fails with EFBIG, which
/// SQLite reports as IOERR.
const FILE_TOO_LARGE: i32 = 25;
/// Functions made and deleted; their rows need pages that were never written.
const FILLER_BYTES: usize = 64 << 10;

/// Bytes that one function adds to the log of the database.
fn large(name: &str) -> store::NewFunction {
    let mut new = new_function(name);
    new.spec.description = "x".repeat(FILLER_BYTES);
    new
}

async fn exists(store: &Store, name: &str) -> bool {
    match store.function(&key(name)).await {
        Ok(_) => true,
        Err(Error::FunctionNotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Makes functions with ever more room, given by `allow`, until one fits: each failure leaves
/// nothing, and all is well at once when there is room again, given by `lift`.
async fn fails_at_each_statement(store: &Store, allow: impl Fn(u64), lift: impl Fn()) {
    active(store, "before", image(1)).await;
    let mut failures = 0;
    for step in 0..64 {
        let name = format!("f{step}");
        allow(step * 2048);
        let made = store.create_function(large(&name)).await;
        lift();
        assert_eq!(exists(store, &name).await, made.is_ok(), "step {step}");
        // The same connection, or another: what matters is that the next change is taken.
        store.create_function(new_function(&format!("after-{step}"))).await.unwrap();
        match made {
            Ok(_) if failures > 0 => return,
            Ok(_) => panic!("nothing failed"),
            Err(_) => failures += 1,
        }
    }
    panic!("nothing fitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_error_at_any_statement_leaves_the_next_write_well() {
    let _handled = signal(SignalKind::from_raw(FILE_TOO_LARGE)).unwrap();
    let home = support::Home::new();
    let store = home.open().await;
    let whole = getrlimit(Resource::Fsize);
    let log = PathBuf::from(format!("{}-wal", home.path().display()));
    let allow = |more: u64| {
        let len = fs::metadata(&log).unwrap().len();
        setrlimit(Resource::Fsize, Rlimit { current: Some(len + more), maximum: whole.maximum }).unwrap();
    };
    fails_at_each_statement(&store, allow, || setrlimit(Resource::Fsize, whole).unwrap()).await;
}

/// A file system of its own, unmounted when dropped.
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
