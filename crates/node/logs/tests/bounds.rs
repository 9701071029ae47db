//! Queries read only the parts of a long log that their page needs.
// A test stops at the first thing that is not as it should be; not every test file uses all that is
// shared.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use logs::{Config, Filter, Logs, OrderBy, Query, Ret};
use support::{Instance, begin, end, everything, function, invoke, open, segment_files};
use types::{Namespace, RunStatus};

/// Calls of the busy function; each is two records.
const CALLS: i64 = 100_000;
/// Maximum of bytes read for a page of twenty: the index's directory and entries, and a few blocks
/// of 256 KiB.
const PAGE_BYTES_MAX: u64 = 2 << 20;
const PAGE_FILES_MAX: u64 = 30;

fn of(name: &str) -> Query {
    Query { function: Some(name.parse().unwrap()), limit: 20, ..everything() }
}

fn lines_of(name: &str) -> Filter {
    Filter { function: Some(name.parse().unwrap()), ..Filter::all(Namespace::default_namespace()) }
}

/// Files opened and bytes read by a query.
async fn reads<T>(logs: &Logs, question: impl Future<Output = T>) -> (T, u64, u64) {
    let before = logs.reads();
    let answer = question.await;
    let after = logs.reads();
    (answer, after.files_opened - before.files_opened, after.bytes - before.bytes)
}

/// A log of a busy function over many segments, with another function and a failure at its
/// beginning.
async fn long_log(dir: &std::path::Path) -> (Logs, types::RequestId) {
    let config = Config { segment_bytes_max: 8 << 20, queue_bytes_max: 256 << 20, ..Config::default() };
    let logs = open(dir, config.clone()).await;
    let (busy, quiet) = (function("busy"), function("quiet"));
    let mut instance = Instance::attach(&logs, &quiet);
    instance.print("one line of long ago\n");
    logs.settle(&instance.id);
    invoke(&logs, &quiet, 1);
    let failed = begin(&logs, &busy, 0);
    end(&logs, &failed, RunStatus::UserCodeException);
    for start_ms in 1..CALLS {
        invoke(&logs, &busy, start_ms);
        if start_ms % 2_000 == 0 {
            // Writes the queued records.
            logs.lines(lines_of("none"), None, 0).await.unwrap();
        }
    }
    // The shutdown waits for indexes of closed segments; the next start builds missing ones.
    logs.shutdown().await;
    drop(instance);
    (open(dir, config).await, failed)
}

/// Waits until maintenance has indexed every segment but the active one.
async fn all_indexed(dir: &std::path::Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    loop {
        let files = segment_files(dir);
        let indexes = files.iter().filter(|file| file.extension().is_some_and(|e| e == "idx")).count();
        let number = |file: &std::path::PathBuf| file.file_name().unwrap().to_str().unwrap()[..10].to_owned();
        let mut segments: Vec<_> = files.iter().map(number).collect();
        segments.dedup();
        if segments.len() > 6 && indexes + 1 == segments.len() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{files:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_page_of_a_log_of_two_hundred_thousand_records_reads_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, failed) = long_log(dir.path()).await;
    // The first query may find segments without an index yet.
    let page = logs.invocations(of("busy")).await.unwrap();
    assert_eq!((page.total, page.invocations[0].start_ms), (CALLS as usize, CALLS - 1));
    all_indexed(dir.path()).await;

    let queries = [
        ("newest", of("busy"), (1..=20).map(|n| CALLS - n).collect::<Vec<_>>()),
        ("oldest", Query { descending: false, ..of("busy") }, (0..20).collect()),
        ("a far page", Query { offset: 9_980, ..of("busy") }, (9_981..=10_000).map(|n| CALLS - n).collect()),
        ("a time", Query { start_ms: 40_000, end_ms: 40_002, ..of("busy") }, vec![40_002, 40_001, 40_000]),
        ("failures", Query { ret: Ret::Failed, ..of("busy") }, vec![0]),
        ("a quiet function", of("quiet"), vec![1]),
        ("one by its id", Query { request_id: Some(failed.clone()), ..everything() }, vec![0]),
    ];
    for (what, query, wanted) in queries {
        let (page, files, bytes) = reads(&logs, logs.invocations(query)).await;
        let starts: Vec<_> = page.unwrap().invocations.iter().map(|run| run.start_ms).collect();
        assert_eq!(starts, wanted, "{what}");
        assert!(bytes < PAGE_BYTES_MAX && files < PAGE_FILES_MAX, "{what}: {files} files, {bytes} bytes");
    }
    let by_duration = Query { order_by: OrderBy::Duration, ..of("busy") };
    assert_eq!(logs.invocations(by_duration).await.unwrap().total, CALLS as usize);

    let lines = [
        ("newest", lines_of("busy"), 20),
        ("a quiet function", lines_of("quiet"), 4),
        ("failures", Filter { failed: true, ..lines_of("busy") }, 0),
        ("one request", Filter { request_id: Some(failed), ..lines_of("busy") }, 0),
        ("nothing of this time", Filter { start_ms: i64::MAX, ..lines_of("busy") }, 0),
        ("no function", lines_of("none"), 0),
    ];
    for (what, filter, wanted) in lines {
        let (page, files, bytes) = reads(&logs, logs.newest_lines(filter, 20)).await;
        assert_eq!(page.unwrap().lines.len(), wanted, "{what}");
        // The active segment has no index: it is read as a whole, and has at most the size of one
        // segment.
        assert!(bytes < PAGE_BYTES_MAX + (9 << 20) && files < PAGE_FILES_MAX, "{what}: {files} files, {bytes} bytes");
    }
    logs.shutdown().await;
}

#[tokio::test]
async fn indexes_that_are_lost_or_damaged_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes_max: 16 << 10, index_rebuild_bytes_max: 1, ..Config::default() };
    let logs = open(dir.path(), config.clone()).await;
    let hello = function("hello");
    for start_ms in 0..200 {
        invoke(&logs, &hello, start_ms);
        if start_ms % 10 == 0 {
            logs.invocations(of("hello")).await.unwrap();
        }
    }
    let before = logs.invocations(everything()).await.unwrap();
    logs.shutdown().await;
    // Indexes that maintenance had no time for are built on demand.
    let logs = open(dir.path(), config.clone()).await;
    assert_eq!(logs.invocations(everything()).await.unwrap(), before);
    logs.shutdown().await;
    let indexes: Vec<_> =
        segment_files(dir.path()).into_iter().filter(|f| f.extension().is_some_and(|e| e == "idx")).collect();
    assert!(indexes.len() > 2, "{indexes:?}");
    std::fs::remove_file(&indexes[0]).unwrap();
    std::fs::write(&indexes[1], "no index").unwrap();
    std::fs::write(&indexes[2], "").unwrap();
    let logs = open(dir.path(), config).await;
    assert_eq!(logs.invocations(everything()).await.unwrap(), before);
    logs.shutdown().await;
}

#[tokio::test]
async fn a_segment_closes_when_enough_invocations_ended_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config { index_invocations_max: 10, ..Config::default() }).await;
    let hello = function("hello");
    for start_ms in 0..100 {
        invoke(&logs, &hello, start_ms);
        let page = logs.invocations(everything()).await.unwrap();
        assert_eq!(page.total as i64, start_ms + 1);
    }
    logs.shutdown().await;
    assert!(segment_files(dir.path()).len() > 9);
}
