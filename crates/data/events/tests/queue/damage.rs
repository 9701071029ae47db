//! Unreadable rows of the queue.

use std::time::Duration;

use events::{NewEvent, RunState};
use types::RequestId;

use crate::dead_letters::all;
use crate::fixture::{Queue, event};

/// Accepts an event, and damages its row by `change` before the next start, when it is due.
async fn damaged(change: &str) -> (Queue, RequestId) {
    let queue = Queue::open().await;
    let late = NewEvent { delay_s: 3600, ..event("films", r#"{"n": 1}"#) };
    queue.events.accept(late.clone()).await.unwrap();
    assert!(queue.events.drain(Duration::from_secs(5)).await);
    let text = format!("UPDATE events SET due_ms = 1, {change} WHERE request_id = ?1");
    queue.file().execute(&text, [late.request_id.as_str()]).unwrap();
    (queue.killed_and_opened().await, late.request_id)
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_set_aside_and_its_function_goes_on() {
    for change in ["qualifier = x'ff'", "function_id = 'nonsense'", "payload = 5", "retries_max = 'many'", "depth = -1"]
    {
        let (queue, id) = damaged(change).await;
        let next = queue.accept("films", "{}").await;
        queue.until(&next, |status| status.state == RunState::Finished).await;
        let dead = queue.until(&id, |status| status.state == RunState::Failed).await;
        assert!(dead.result.unwrap().starts_with("its row in the queue of events cannot be read"), "{change}");
        assert_eq!((queue.script.seen_of("films"), dead.attempts), (1, 0), "{change}: it did not run");
        let letter = queue.events.dead_letters(all(), 0, 10).await.unwrap().remove(0);
        assert_eq!((letter.reason.as_str(), &letter.request_id), ("unreadable", &id), "{change}");
        queue.until_true(|| queue.events.waiting(None) == 0).await;
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_read_is_another_in_the_dead_letter() {
    let (queue, _) = damaged("request_id = 'nonsense'").await;
    queue.until_true(|| queue.events.waiting(None) == 0).await;
    let letter = queue.events.dead_letters(all(), 0, 10).await.unwrap().remove(0);
    assert_eq!((letter.reason.as_str(), letter.payload_bytes), ("unreadable", 8));
}

#[tokio::test]
async fn rows_of_no_function_hold_up_no_start() {
    let (queue, _) = damaged("function = 'a b'").await;
    let next = queue.accept("films", "{}").await;
    queue.until(&next, |status| status.state == RunState::Finished).await;
    let rows: i64 = queue.file().query_row("SELECT COUNT(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1, "it stays for a human");
}

#[tokio::test]
async fn a_damaged_state_is_left_out_of_lists() {
    let queue = Queue::open().await;
    let (good, bad) = (queue.accept("films", "{}").await, queue.accept("films", "{}").await);
    for id in [&good, &bad] {
        queue.until(id, |status| status.state == RunState::Finished).await;
    }
    let file = queue.file();
    file.busy_timeout(Duration::from_secs(20)).unwrap();
    file.execute("UPDATE runs SET attempts = 'many' WHERE request_id = ?1", [bad.as_str()]).unwrap();
    assert!(queue.events.status(&bad).await.unwrap().is_none());
    assert!(queue.events.status(&good).await.unwrap().is_some());
}
