//! Retention: what is kept and for how long, and what is never removed automatically.

use events::{Accepted, Config, RunState, SourceKey};
use rusqlite::Connection;
use types::RunStatus;

use crate::fixture::{Queue, event};

/// Runs that ended long ago, as an earlier process left them.
const OLD: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) \
    INSERT INTO runs (request_id, namespace, function, function_id, qualifier, invoke_type, state, status, attempts, \
    accepted_ms, ended_ms, result) \
    SELECT 'old' || i, 'default', 'old', 'lam-00000001', '$LATEST', 'INVOKE', 1, 200, 1, 1, i, 'x' FROM n";
/// Keys that expired long ago.
const OLD_KEYS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
    INSERT INTO source_keys SELECT 'lam-00000001', 'idempotency', 'old' || i, 'id' || i, i FROM n";

fn count(queue: &Queue, table: &str) -> i64 {
    let connection = Connection::open(queue.folder.path().join("events.db")).unwrap();
    connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn old_states_and_keys_go_and_what_waits_and_dead_letters_stay() {
    let queue = Queue::open().await;
    queue.script.set("gone", Some(RunStatus::FunctionNotFound));
    let dead = queue.accept("gone", "{}").await;
    queue.until(&dead, |status| status.state == RunState::Failed).await;
    let late = events::NewEvent { delay_s: 3600, ..event("later", "{}") };
    let key = SourceKey { source: "idempotency".into(), key: "new".to_owned() };
    queue.events.accept_once(late.clone(), key.clone()).await.unwrap();
    let file = Connection::open(queue.folder.path().join("events.db")).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    file.execute_batch(&format!("{OLD}; {OLD_KEYS};")).unwrap();
    // Expired like the runs above.
    file.execute("UPDATE dead_letters SET died_ms = 1, accepted_ms = 1", []).unwrap();
    file.execute("UPDATE events SET accepted_ms = 1", []).unwrap();
    drop(file);

    let queue = queue.killed_and_opened().await;
    queue.until_true(|| count(&queue, "runs") == 1 && count(&queue, "source_keys") == 1).await;
    assert_eq!((count(&queue, "events"), count(&queue, "dead_letters")), (1, 1));
    let again = queue.events.accept_once(event("later", "{}"), key).await.unwrap();
    assert_eq!(again, Accepted::Before(late.request_id));
}

#[tokio::test]
async fn events_are_accepted_and_run_while_much_is_pruned() {
    let queue = Queue::open().await;
    Connection::open(queue.folder.path().join("events.db")).unwrap().execute_batch(OLD).unwrap();
    let queue = queue.killed_and_opened().await;
    let id = queue.accept("ok", "{}").await;
    queue.until(&id, |status| status.state == RunState::Finished).await;
    queue.until_true(|| count(&queue, "runs") == 1).await;
}

#[tokio::test]
async fn results_are_bounded_in_sum_and_the_oldest_make_room() {
    // Each result is its payload and four bytes more.
    let queue = Queue::open_with(Config { results_bytes_max: 10_240, ..Config::default() }).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        let id = queue.accept("films", &"x".repeat(1020)).await;
        queue.until(&id, |status| status.state == RunState::Finished).await;
        ids.push(id);
    }
    let kept = || -> i64 {
        queue.file().query_row("SELECT COALESCE(SUM(kept_bytes), 0) FROM runs", [], |row| row.get(0)).unwrap()
    };
    queue.until_true(|| kept() <= 10_240).await;
    let (first, last) = (&ids[0], &ids[39]);
    assert_eq!(queue.events.status(first).await.unwrap().unwrap().result, None);
    let newest = queue.events.status(last).await.unwrap().unwrap();
    assert_eq!(newest.result.map(|text| text.len()), Some(1024));
    assert_eq!(queue.events.status(first).await.unwrap().unwrap().state, RunState::Finished, "its state stays");
}

#[tokio::test]
async fn results_go_before_their_states() {
    let queue = Queue::open_with(Config { results_s: 1, ..Config::default() }).await;
    let id = queue.accept("ok", "{}").await;
    let done = queue.until(&id, |status| status.state == RunState::Finished).await;
    assert_eq!(done.result.as_deref(), Some("got {}"));
    let file = Connection::open(queue.folder.path().join("events.db")).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    file.execute("UPDATE runs SET ended_ms = ended_ms - 5000", []).unwrap();
    drop(file);
    let queue = queue.killed_and_opened().await;
    let kept = queue.until(&id, |status| status.result.is_none()).await;
    assert_eq!((kept.state, kept.status), (RunState::Finished, Some(RunStatus::Success)));
}
