//! Files of earlier versions.

use std::sync::Arc;

use events::{Config, RunState};
use tempfile::TempDir;
use types::RequestId;

use crate::fixture::Queue;

#[tokio::test]
async fn a_file_of_schema_1_is_upgraded_and_what_waits_in_it_runs() {
    let folder = TempDir::new().unwrap();
    let file = rusqlite::Connection::open(folder.path().join("events.db")).unwrap();
    file.execute_batch(include_str!("schema_1.sql")).unwrap();
    let (waiting, ended) = (RequestId::random(), RequestId::random());
    file.execute(
        "INSERT INTO events (request_id, namespace, function, function_id, qualifier, invoke_type, state, due_ms, \
         accepted_ms, expires_ms, attempt, function_failures, system_failures, recoveries, retries_max, bytes, \
         payload) \
         VALUES (?1, 'default', 'films', 'lam-00000001', '$LATEST', 'INVOKE', 0, 1, 1, 99999999999999, 0, 0, 0, 0, 2, \
         2, \
         x'7b7d')",
        [waiting.as_str()],
    )
    .unwrap();
    file.execute(
        "INSERT INTO runs (request_id, namespace, function, function_id, qualifier, invoke_type, state, status, \
         attempts, accepted_ms, ended_ms, result) VALUES (?1, 'default', 'films', 'lam-00000001', '$LATEST', \
         'INVOKE', 1, \
         200, 1, 99999999999998, 99999999999999, 'kept')",
        [ended.as_str()],
    )
    .unwrap();
    drop(file);
    let queue = Queue::reopened(Arc::default(), folder, Config::default()).await;
    queue.until(&waiting, |status| status.state == RunState::Finished).await;
    let before = queue.events.status(&ended).await.unwrap().unwrap();
    assert_eq!(before.result.as_deref(), Some("kept"));
    let version: i64 = queue.file().query_row("SELECT version FROM schema_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
}
