//! Files on disk: rotation, retention, restarts, and their public format.
// A test stops at the first thing that is not as it should be; not every test file uses all that is
// shared.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use std::io::Write;

use logs::{Config, Query};
use support::{all, begin, end, everything, function, invoke, one, open, segment_files};
use types::RunStatus;

/// Closes a segment about every fifteen invocations.
fn small_segments() -> Config {
    Config { segment_bytes_max: 16 << 10, ..Config::default() }
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let ids: Vec<_> = (0..50).map(|n| invoke(&logs, &function, n)).collect();
    let before = all(&logs).await;
    logs.shutdown().await;
    let logs = open(dir.path(), Config::default()).await;
    assert_eq!(all(&logs).await, before);
    assert_eq!(before.total, 50);
    assert_eq!(one(&logs, &ids[7]).await.ret_msg, format!("ret of {}", ids[7]));
    logs.shutdown().await;
}

#[tokio::test]
async fn segments_close_are_compressed_and_still_answer() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), small_segments()).await;
    let function = function("hello");
    let mut ids = Vec::new();
    for n in 0..300 {
        ids.push(invoke(&logs, &function, n));
        if n % 10 == 0 {
            all(&logs).await;
        }
    }
    let before = all(&logs).await;
    // The shutdown waits for compression.
    logs.shutdown().await;
    let mut files = segment_files(dir.path());
    files.retain(|file| file.extension().is_some_and(|e| e != "idx"));
    let compressed = files.iter().filter(|f| f.extension().is_some_and(|e| e == "zst")).count();
    assert!(files.len() > 5 && compressed + 2 >= files.len(), "{files:?}");
    let text = zstd::decode_all(std::fs::File::open(&files[0]).unwrap()).unwrap();
    let rows: Vec<serde_json::Value> =
        text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
    assert_eq!(rows[0]["Lines"][0], format!("START RequestId:{}", ids[0]));
    let logs = open(dir.path(), small_segments()).await;
    assert_eq!(all(&logs).await, before);
    logs.shutdown().await;
}

#[tokio::test]
async fn invocations_that_the_index_has_forgotten_are_found_in_old_segments() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { index_invocations_max: 400, index_rebuild_bytes_max: 20 << 10, ..small_segments() };
    let logs = open(dir.path(), config.clone()).await;
    let (hello, other) = (function("hello"), function("other"));
    let mut ids = Vec::new();
    for n in 0..300 {
        ids.push(invoke(&logs, if n % 3 == 0 { &other } else { &hello }, n));
        if n % 10 == 0 {
            all(&logs).await;
        }
    }
    let before = all(&logs).await;
    logs.shutdown().await;
    let logs = open(dir.path(), config).await;
    assert_eq!(all(&logs).await, before);
    assert_eq!(one(&logs, &ids[2]).await, before.invocations[297]);
    let query = Query { function: Some("other".parse().unwrap()), offset: 50, limit: 10, ..everything() };
    let page = logs.invocations(query).await.unwrap();
    assert_eq!(page.total, 100);
    let starts: Vec<_> = page.invocations.iter().map(|i| i.start_ms).collect();
    assert_eq!(starts, (41..=50).rev().map(|n| (n - 1) * 3).collect::<Vec<_>>());
    logs.shutdown().await;
}

#[tokio::test]
async fn the_disk_limit_removes_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { disk_bytes_max: 24 << 10, ..small_segments() };
    let logs = open(dir.path(), config).await;
    let function = function("hello");
    let mut newest = None;
    for n in 0..1_000 {
        newest = Some(invoke(&logs, &function, n));
        if n % 10 == 0 {
            all(&logs).await;
        }
    }
    logs.shutdown().await;
    let sizes: u64 = segment_files(dir.path()).iter().map(|f| f.metadata().unwrap().len()).sum();
    // Retention runs when a segment closes, so one active and one closing segment may come on top.
    assert!(sizes < (24 << 10) + 2 * (32 << 10), "{sizes}");
    let logs = open(dir.path(), small_segments()).await;
    let page = all(&logs).await;
    assert!(page.total < 1_000);
    assert_eq!(Some(&page.invocations[0].request_id), newest.as_ref());
    logs.shutdown().await;
}

#[tokio::test]
async fn old_segments_go_by_age_at_the_next_maintenance() {
    let dir = tempfile::tempdir().unwrap();
    let function = function("hello");
    let logs = open(dir.path(), Config::default()).await;
    invoke(&logs, &function, 1);
    logs.shutdown().await;
    let first = &segment_files(dir.path())[0];
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(8 * 24 * 60 * 60);
    std::fs::File::options().append(true).open(first).unwrap().set_modified(old).unwrap();
    // The first record closes the old segment, which applies retention.
    let logs = open(dir.path(), Config::default()).await;
    invoke(&logs, &function, 2);
    all(&logs).await;
    logs.shutdown().await;
    let logs = open(dir.path(), Config::default()).await;
    assert_eq!(all(&logs).await.total, 1);
    assert!(!first.exists());
    logs.shutdown().await;
}

#[tokio::test]
async fn a_killed_platform_leaves_interrupted_invocations_and_a_readable_log() {
    let dir = tempfile::tempdir().unwrap();
    let function = function("hello");
    let logs = open(dir.path(), Config::default()).await;
    let ended = invoke(&logs, &function, 1);
    let running = begin(&logs, &function, 2);
    logs.platform(&running, "START");
    let page = all(&logs).await;
    assert!(!page.invocations[0].finished && page.invocations[0].log == "START\n");
    // The state after a kill: complete rows, and half of the last one.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("segments")).unwrap();
    let active = &segment_files(dir.path())[0];
    let target = copy.path().join("segments").join(active.file_name().unwrap());
    std::fs::copy(active, &target).unwrap();
    std::fs::File::options().append(true).open(&target).unwrap().write_all(b"{\"Record\":\"end\",\"SCF_").unwrap();
    logs.shutdown().await;

    let logs = open(copy.path(), Config::default()).await;
    let interrupted = one(&logs, &running).await;
    assert!(interrupted.finished && interrupted.status.is_none());
    assert_eq!(interrupted.log, "START\n");
    assert_eq!(one(&logs, &ended).await.status, Some(RunStatus::Success));
    let later = invoke(&logs, &function, 3);
    logs.shutdown().await;
    let logs = open(copy.path(), Config::default()).await;
    assert_eq!(all(&logs).await.total, 3);
    assert!(one(&logs, &running).await.finished);
    assert!(one(&logs, &later).await.log.starts_with("START RequestId:"));
    logs.shutdown().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = logs::Logs::open(&dir.path().join("file"), Config::default()).await.err().unwrap();
    assert!(error.to_string().contains("file/segments"), "{error}");
}

#[tokio::test]
async fn calls_after_the_shutdown_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    logs.shutdown().await;
    let request = begin(&logs, &function("hello"), 1);
    end(&logs, &request, RunStatus::Success);
    assert!(matches!(logs.invocations(everything()).await, Err(logs::Error::Stopped)));
    logs.shutdown().await;
}
