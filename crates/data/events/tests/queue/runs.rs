//! What follows runs, and whose turn it is.

use events::RunState;
use types::RunStatus;

use crate::fixture::{Queue, key};

#[tokio::test]
async fn a_run_that_fails_in_the_function_waits_for_another() {
    let queue = Queue::open().await;
    queue.script.set("faulty", Some(RunStatus::UserCodeException));
    let id = queue.accept("faulty", "{}").await;
    let waiting = queue.until(&id, |status| status.status.is_some()).await;
    assert_eq!((waiting.state, waiting.attempts), (RunState::Running, 1));
    assert_eq!(waiting.result.as_deref(), Some("it failed"));
    assert_eq!(queue.events.waiting(Some(&key("faulty"))), 1);
}

#[tokio::test]
async fn a_call_that_can_never_succeed_becomes_a_dead_letter_that_can_be_redriven() {
    let queue = Queue::open().await;
    queue.script.set("gone", Some(RunStatus::FunctionNotFound));
    let id = queue.accept("gone", r#"{"keep": "me"}"#).await;
    queue.until(&id, |status| status.state == RunState::Failed).await;
    let namespace = "default".parse().unwrap();
    let letters = queue.events.dead_letters(&namespace, 0, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason.as_str(), letters[0].status), ("refused", Some(RunStatus::FunctionNotFound)));

    assert_eq!(letters[0].payload_bytes, r#"{"keep": "me"}"#.len() as u64);

    queue.script.set("gone", Some(RunStatus::Success));
    queue.events.redrive(&id).await.unwrap();
    let done = queue.until(&id, |status| status.state == RunState::Finished).await;
    assert_eq!(done.result.as_deref(), Some(r#"got {"keep": "me"}"#));
    assert!(queue.events.dead_letters(&namespace, 0, 10).await.unwrap().is_empty());
    assert!(queue.events.redrive(&id).await.is_err(), "it is gone");
}

#[tokio::test]
async fn dead_letters_are_purged() {
    let queue = Queue::open().await;
    queue.script.set("gone", Some(RunStatus::FunctionNotFound));
    for _ in 0..3 {
        let id = queue.accept("gone", "{}").await;
        queue.until(&id, |status| status.state == RunState::Failed).await;
    }
    assert_eq!(queue.events.purge(&"default".parse().unwrap()).await.unwrap(), 3);
    assert_eq!(queue.events.purge(&"default".parse().unwrap()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_function_whose_runs_hang_does_not_hold_up_another() {
    let queue = Queue::open().await;
    queue.script.set("hangs", None);
    for n in 0..500 {
        queue.accept("hangs", &n.to_string()).await;
    }
    let id = queue.accept("quick", "{}").await;
    queue.until(&id, |status| status.state == RunState::Finished).await;
    let begun = queue.script.seen_of("hangs");
    assert!((1..=8).contains(&begun), "{begun} runs at a time, before any of them ended well");
}

#[tokio::test]
async fn want_of_quota_is_not_an_attempt_and_lowers_the_concurrency() {
    let queue = Queue::open().await;
    queue.script.set("full", Some(RunStatus::ResourceLimitReached));
    let id = queue.accept("full", "{}").await;
    let waiting = queue.until(&id, |status| status.status.is_some()).await;
    assert_eq!(waiting.state, RunState::Running);
    let seen = queue.script.seen.lock();
    assert_eq!(seen[0].retry, 0);
}
