//! Files that cannot grow: a write fails, and the next one does not. Alone in its process, whose
//! limit of file sizes it sets.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use std::fs;
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::failing_writes::fails_at_each_statement;
use tokio::signal::unix::{SignalKind, signal};

/// `SIGXFSZ`: a file would grow beyond its limit; with a handler the write fails with EFBIG, which
/// SQLite reports as IOERR.
const FILE_TOO_LARGE: i32 = 25;

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
