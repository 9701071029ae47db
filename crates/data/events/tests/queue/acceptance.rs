//! Guarantees of acceptance.

use events::{Accepted, Config, Error, RunState, SourceKey};
use types::RunStatus;

use crate::fixture::{Queue, event, key};

#[tokio::test]
async fn an_accepted_event_runs_with_its_bytes_and_its_result_is_kept() {
    let queue = Queue::open().await;
    let id = queue.accept("resize", r#"{"key":  1.0}"#).await;
    let done = queue.until(&id, |status| status.state == RunState::Finished).await;
    assert_eq!((done.status, done.attempts), (Some(RunStatus::Success), 1));
    assert_eq!(done.result.as_deref(), Some(r#"got {"key":  1.0}"#));
    queue.until_true(|| queue.events.waiting(Some(&key("resize"))) == 0).await;
}

#[tokio::test]
async fn a_result_beyond_the_bound_is_cut_and_says_so() {
    let queue = Queue::open_with(Config { result_bytes_max: 6, ..Config::default() }).await;
    let (whole, long) = (queue.accept("echo", "12").await, queue.accept("echo", "123").await);
    let whole = queue.until(&whole, |status| status.state == RunState::Finished).await;
    assert_eq!((whole.result.as_deref(), whole.result_bytes), (Some("got 12"), None));
    let long = queue.until(&long, |status| status.state == RunState::Finished).await;
    assert_eq!((long.result.as_deref(), long.result_bytes), (Some("got 12"), Some(7)));
}

#[tokio::test]
async fn an_id_is_accepted_once() {
    let queue = Queue::open().await;
    queue.script.set("slow", None);
    let first = event("slow", "{}");
    queue.events.accept(first.clone()).await.unwrap();
    assert!(matches!(queue.events.accept(first).await, Err(Error::Duplicate(_))));
    assert_eq!(queue.events.waiting(Some(&key("slow"))), 1, "what was refused takes no room");
}

#[tokio::test]
async fn an_event_with_a_delay_waits_until_it_is_due() {
    let queue = Queue::open().await;
    let late = events::NewEvent { delay_s: 3600, ..event("later", "{}") };
    queue.events.accept(late.clone()).await.unwrap();
    let now = queue.accept("later", "{}").await;
    queue.until(&now, |status| status.state == RunState::Finished).await;
    let waiting = queue.events.status(&late.request_id).await.unwrap().unwrap();
    assert_eq!((waiting.state, waiting.attempts), (RunState::Running, 0));
    assert_eq!(queue.script.seen_of("later"), 1);
}

#[tokio::test]
async fn many_callers_share_commits_and_all_of_their_events_run() {
    let queue = Queue::open().await;
    let ids = futures_util::future::join_all((0..500).map(|n| {
        let queue = &queue;
        async move { queue.accept(["a1", "b1", "c1"][n % 3], &n.to_string()).await }
    }))
    .await;
    for id in &ids {
        queue.until(id, |status| status.state == RunState::Finished).await;
    }
    assert_eq!(queue.script.seen.lock().len(), 500, "each ran once");
}

fn keyed(key: &str) -> SourceKey {
    SourceKey { source: "idempotency".into(), key: key.to_owned() }
}

#[tokio::test]
async fn a_key_that_is_there_already_adds_nothing_and_names_the_first_event() {
    let queue = Queue::open().await;
    let (first, again) = (event("pay", "1"), event("pay", "2"));
    assert_eq!(queue.events.accept_once(first.clone(), keyed("k")).await.unwrap(), Accepted::New);
    let before = Accepted::Before(first.request_id.clone());
    assert_eq!(queue.events.accept_once(again.clone(), keyed("k")).await.unwrap(), before);
    queue.until(&first.request_id, |status| status.state == RunState::Finished).await;
    assert_eq!(queue.events.accept_once(again.clone(), keyed("k")).await.unwrap(), before, "also after its end");
    assert_eq!(queue.events.status(&again.request_id).await.unwrap(), None);
    queue.until_true(|| queue.events.waiting(None) == 0).await;
    // Another key, another kind of key and another function are distinct.
    assert_eq!(queue.events.accept_once(again, keyed("K")).await.unwrap(), Accepted::New);
    let hook = SourceKey { source: "webhook".into(), key: "k".to_owned() };
    assert_eq!(queue.events.accept_once(event("pay", "3"), hook).await.unwrap(), Accepted::New);
    let mut other = event("other", "4");
    other.address.function_id = "lam-00000002".parse().unwrap();
    assert_eq!(queue.events.accept_once(other, keyed("k")).await.unwrap(), Accepted::New);
}

#[tokio::test]
async fn of_many_at_once_with_one_key_one_is_accepted() {
    let queue = Queue::open().await;
    let accepted = futures_util::future::join_all((0..50).map(|_| {
        let event = event("pay", "1");
        async { queue.events.accept_once(event, keyed("k")).await.unwrap() }
    }))
    .await;
    assert_eq!(accepted.iter().filter(|accepted| **accepted == Accepted::New).count(), 1);
    queue.until_true(|| queue.events.waiting(None) == 0).await;
    assert_eq!(queue.script.seen_of("pay"), 1);
}

#[tokio::test]
async fn what_was_accepted_is_named_again_also_when_there_is_no_room() {
    let queue = Queue::open_with(Config { function_rows_max: 1, ..Config::default() }).await;
    queue.script.set("slow", None);
    let first = event("slow", "1");
    queue.events.accept_once(first.clone(), keyed("k")).await.unwrap();
    assert!(matches!(queue.events.accept_once(event("slow", "2"), keyed("l")).await, Err(Error::Full { .. })));
    let again = queue.events.accept_once(event("slow", "1"), keyed("k")).await.unwrap();
    assert_eq!(again, Accepted::Before(first.request_id));
}

#[tokio::test]
async fn keys_are_forgotten_after_their_time() {
    let queue = Queue::open_with(Config { dedup_s: 1, ..Config::default() }).await;
    let first = event("pay", "1");
    queue.events.accept_once(first, keyed("k")).await.unwrap();
    let accepted = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while queue.events.accept_once(event("pay", "2"), keyed("k")).await.unwrap() != Accepted::New {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    accepted.await.expect("the key is forgotten");
}

#[tokio::test]
async fn what_is_acknowledged_is_in_the_file_already() {
    let queue = Queue::open().await;
    queue.script.set("slow", None);
    for number in 0..20 {
        let id = queue.accept("slow", &number.to_string()).await;
        // As a kill at this moment would leave it.
        let copy = tempfile::TempDir::new().unwrap();
        for name in ["events.db", "events.db-wal"] {
            std::fs::copy(queue.folder.path().join(name), copy.path().join(name)).unwrap();
        }
        let file = rusqlite::Connection::open(copy.path().join("events.db")).unwrap();
        let stored = "SELECT COUNT(*) FROM events WHERE request_id = ?1";
        assert_eq!(file.query_row(stored, [id.as_str()], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_acknowledged_and_can_be_sent_again() {
    let queue = Queue::open().await;
    queue.until_true(|| queue.folder.path().join("events.db").exists()).await;
    let file = rusqlite::Connection::open(queue.folder.path().join("events.db")).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    // Another process holds the file.
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    let lost = event("pay", "1");
    let refused = queue.events.accept_once(lost.clone(), keyed("k")).await;
    assert!(matches!(refused, Err(Error::Write(_))), "{refused:?}");
    assert_eq!(queue.events.waiting(None), 0, "it takes no room");
    file.execute_batch("COMMIT").unwrap();
    let again = event("pay", "1");
    assert_eq!(queue.events.accept_once(again.clone(), keyed("k")).await.unwrap(), Accepted::New);
    queue.until(&again.request_id, |status| status.state == RunState::Finished).await;
    assert_eq!(queue.events.status(&lost.request_id).await.unwrap(), None);
    assert_eq!(queue.script.seen_of("pay"), 1);
}
