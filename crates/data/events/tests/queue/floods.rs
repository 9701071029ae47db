//! Many events of one function, and events that end their instance each time.

use events::RunState;
use rusqlite::Connection;
use types::RunStatus;

use crate::fixture::{Queue, key};

/// Due events of one function, as an earlier process left them.
const FLOOD: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
    INSERT INTO events (request_id, namespace, function, function_id, qualifier, invoke_type, state, due_ms, \
    accepted_ms, expires_ms, attempt, function_failures, system_failures, recoveries, retries_max, bytes, payload) \
    SELECT printf('00000000-0000-4000-8000-%012d', i), 'default', 'flood', 'lam-00000001', '$LATEST', 'INVOKE', 0, 1, \
    1, 9000000000000, 0, 0, 0, 0, 2, 2, x'7b7d' FROM n";
/// Runs of the flood that may begin between the acceptance of another function's event and its run:
/// those already dealt, and those of one more round.
const BEFORE_MAX: usize = 512;

#[tokio::test]
async fn a_hundred_thousand_waiting_events_of_one_function_do_not_delay_anothers_first() {
    let queue = Queue::open().await;
    Connection::open(queue.folder.path().join("events.db")).unwrap().execute_batch(FLOOD).unwrap();
    let queue = queue.killed_and_opened().await;
    // The flood reaches its maximum concurrency.
    queue.until_true(|| queue.script.seen_of("flood") > 1_000).await;
    for name in ["quick", "brief", "short"] {
        let before = queue.script.seen.lock().len();
        let id = queue.accept(name, "{}").await;
        queue.until(&id, |status| status.state == RunState::Finished).await;
        let seen = queue.script.seen.lock();
        let at = seen.iter().position(|attempt| attempt.request_id == id).unwrap();
        assert!(at - before <= BEFORE_MAX, "{} runs of the flood came first", at - before);
    }
    assert!(queue.events.waiting(Some(&key("flood"))) > 1_000, "the flood is still there");
}

#[tokio::test]
async fn an_event_that_ends_its_instance_each_time_is_tried_thrice_over_restarts_and_blocks_nobody() {
    let mut queue = Queue::open().await;
    queue.script.set("poison", Some(RunStatus::UserProcessExited));
    let id = queue.accept("poison", "{}").await;
    for runs in 1..=3_u32 {
        queue.until(&id, |status| status.attempts == runs && status.status.is_some()).await;
        let other = queue.accept("healthy", "{}").await;
        queue.until(&other, |status| status.state == RunState::Finished).await;
        assert_eq!(queue.script.seen_of("poison"), 1, "once in the life of each process");
        let file = Connection::open(queue.folder.path().join("events.db")).unwrap();
        file.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        // The minute passes.
        file.execute("UPDATE events SET due_ms = 1", []).unwrap();
        drop(file);
        queue = queue.killed_and_opened_with(|script| script.set("poison", Some(RunStatus::UserProcessExited))).await;
    }
    let dead = queue.until(&id, |status| status.state == RunState::Failed).await;
    assert_eq!((dead.status, dead.attempts), (Some(RunStatus::UserProcessExited), 3));
    let letters = queue.events.dead_letters(crate::dead_letters::all(), 0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].reason.as_str()), (1, "retries_exhausted"));
    assert_eq!(queue.events.waiting(None), 0);
    assert_eq!(queue.script.seen_of("poison"), 0, "a restart does not try it again");
}
