//! What acceptance promises.

use events::{Error, RunState};
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
