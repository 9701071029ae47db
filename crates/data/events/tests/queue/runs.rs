//! Outcomes of runs, and fairness.

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
async fn want_of_quota_is_not_an_attempt_and_the_whole_function_waits() {
    let queue = Queue::open().await;
    queue.script.set("full", Some(RunStatus::ResourceLimitReached));
    let id = queue.accept("full", "{}").await;
    let waiting = queue.until(&id, |status| status.status.is_some()).await;
    assert_eq!((waiting.state, waiting.attempts), (RunState::Running, 0));
    queue.until_true(|| queue.events.waiting(None) == 1).await;
    queue.script.set("full", Some(RunStatus::Success));
    let next = queue.accept("full", "{}").await;
    let other = queue.accept("other", "{}").await;
    queue.until(&other, |status| status.state == RunState::Finished).await;
    assert_eq!(queue.events.status(&next).await.unwrap().unwrap().state, RunState::Running);
    let seen = queue.script.seen.lock();
    let of_full: Vec<_> = seen.iter().filter(|attempt| attempt.address.function == key("full")).collect();
    assert_eq!((of_full.len(), of_full[0].retry), (1, 0), "the second one was not tried");
}

#[tokio::test]
async fn retry_after_is_heeded_up_to_the_setting() {
    let late = |seconds| {
        let config = events::Config { retry_after_s_max: seconds, ..events::Config::default() };
        async move {
            let queue = Queue::open_with(config).await;
            queue.script.set("faulty", Some(RunStatus::UserCodeException));
            *queue.script.retry_after.lock() = Some(std::time::Duration::from_secs(u64::MAX));
            let id = queue.accept("faulty", "{}").await;
            queue.until(&id, |status| status.status.is_some()).await.state
        }
    };
    assert_eq!(late(3600).await, RunState::Running);
    assert_eq!(late(1_000_000).await, RunState::Failed, "it would outlast the event");
}
