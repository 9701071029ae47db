//! Events that are terminated.

use std::sync::Arc;
use std::time::Duration;

use events::{Error, EventStatus, NewEvent, RunState};
use tokio::sync::Notify;
use types::RunStatus;

use crate::fixture::{Queue, event, key};

fn aborted(status: &EventStatus) -> bool {
    assert!(matches!(status.state, RunState::Running | RunState::Aborted), "{status:?}");
    status.state == RunState::Aborted
}

async fn no_dead_letters(queue: &Queue) -> bool {
    queue.events.dead_letters(crate::dead_letters::all(), 0, 10).await.unwrap().is_empty()
}

#[tokio::test]
async fn an_event_that_waits_is_aborted_at_once_and_never_runs() {
    let queue = Queue::open().await;
    let late = NewEvent { delay_s: 3600, ..event("later", "{}") };
    queue.events.accept(late.clone()).await.unwrap();
    queue.events.terminate(&late.request_id, None, false).await.unwrap();
    let status = queue.events.status(&late.request_id).await.unwrap().unwrap();
    assert_eq!(
        (status.state, status.status, status.attempts),
        (RunState::Aborted, Some(RunStatus::RequestCanceled), 0)
    );
    assert_eq!(queue.events.waiting(Some(&key("later"))), 0, "its room is free");
    assert!(no_dead_letters(&queue).await);
}

#[tokio::test]
async fn an_event_that_runs_is_aborted_when_its_run_has_ended_and_not_before() {
    let queue = Queue::open().await;
    queue.script.set("hangs", None);
    let gone = Arc::new(Notify::new());
    *queue.script.lingers.lock() = Some(Arc::clone(&gone));
    let id = queue.accept("hangs", "{}").await;
    queue.until_true(|| queue.script.seen_of("hangs") == 1).await;
    queue.events.terminate(&id, None, false).await.unwrap();
    let cancellation = queue.script.seen.lock()[0].cancellation.clone();
    cancellation.requested().await;
    let status = queue.events.status(&id).await.unwrap().unwrap();
    assert_eq!((status.state, status.status), (RunState::Running, None), "its instance goes on");
    gone.notify_one();
    let status = queue.until(&id, aborted).await;
    assert_eq!((status.status, status.attempts), (Some(RunStatus::RequestCanceled), 1));
    assert!(no_dead_letters(&queue).await);
}

#[tokio::test]
async fn what_a_run_comes_to_after_a_termination_does_not_count() {
    for outcome in [RunStatus::Success, RunStatus::UserCodeException, RunStatus::FunctionNotFound] {
        let queue = Queue::open().await;
        queue.script.set("late", None);
        let gone = Arc::new(Notify::new());
        *queue.script.lingers.lock() = Some(Arc::clone(&gone));
        *queue.script.canceled.lock() = Some(outcome);
        let id = queue.accept("late", "{}").await;
        queue.until_true(|| queue.script.seen_of("late") == 1).await;
        queue.events.terminate(&id, None, true).await.unwrap();
        gone.notify_one();
        let status = queue.until(&id, aborted).await;
        assert_eq!(status.status, Some(RunStatus::RequestCanceled), "not {outcome:?}");
        queue.until_true(|| queue.events.waiting(None) == 0).await;
        assert!(no_dead_letters(&queue).await);
    }
}

#[tokio::test]
async fn a_termination_outlives_a_kill_of_the_platform() {
    let queue = Queue::open().await;
    queue.script.set("hangs", None);
    *queue.script.lingers.lock() = Some(Arc::default());
    let (ended, goes_on) = (queue.accept("hangs", "1").await, queue.accept("hangs", "2").await);
    queue.until_true(|| queue.script.seen_of("hangs") == 2).await;
    queue.events.terminate(&ended, None, true).await.unwrap();
    let queue = queue.killed_and_opened().await;
    queue.until(&goes_on, |status| status.state == RunState::Finished).await;
    let status = queue.events.status(&ended).await.unwrap().unwrap();
    assert_eq!((status.state, status.status), (RunState::Aborted, Some(RunStatus::RequestCanceled)));
    assert_eq!(queue.script.seen_of("hangs"), 1, "it does not run again");
}

#[tokio::test]
async fn a_stop_does_not_run_a_terminated_event_again() {
    let queue = Queue::open().await;
    queue.script.set("hangs", None);
    let id = queue.accept("hangs", "{}").await;
    queue.until_true(|| queue.script.seen_of("hangs") == 1).await;
    assert!(!queue.events.drain(Duration::ZERO).await, "a run goes on");
    queue.events.terminate(&id, None, false).await.unwrap();
    assert!(queue.events.drain(Duration::from_secs(20)).await);
    assert!(aborted(&queue.events.status(&id).await.unwrap().unwrap()));
}

#[tokio::test]
async fn what_has_ended_or_is_not_there_cannot_be_terminated() {
    let queue = Queue::open().await;
    let id = queue.accept("ok", "{}").await;
    queue.until(&id, |status| status.state == RunState::Finished).await;
    assert!(matches!(queue.events.terminate(&id, None, false).await, Err(Error::Ended(_))));
    let never = event("ok", "{}").request_id;
    assert!(matches!(queue.events.terminate(&never, None, false).await, Err(Error::NotFound(_))));
    let other = Some((key("other"), "lam-00000002".parse().unwrap()));
    assert!(matches!(queue.events.terminate(&id, other, false).await, Err(Error::OfAnotherFunction { .. })));
}
