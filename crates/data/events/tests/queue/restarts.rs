//! Recovery after a kill.

use std::time::Duration;

use events::{Config, Error, Events, Repeat, RunState};
use types::RunStatus;

use crate::fixture::{Queue, key};

#[tokio::test]
async fn what_was_accepted_or_running_at_a_kill_runs_afterwards() {
    let queue = Queue::open().await;
    queue.script.set("hangs", None);
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(queue.accept("hangs", &n.to_string()).await);
    }
    queue.until_true(|| queue.script.seen_of("hangs") > 0).await;
    let queue = queue.killed_and_opened().await;
    for id in &ids {
        queue.until(id, |status| status.state == RunState::Finished).await;
    }
    assert_eq!(queue.events.waiting(Some(&key("hangs"))), 0);
}

#[tokio::test]
async fn an_event_during_whose_runs_the_platform_ends_each_time_becomes_a_dead_letter() {
    let mut queue = Queue::open_with(Config { recoveries_max: 2, ..Config::default() }).await;
    let id = {
        queue.script.set("poison", None);
        queue.accept("poison", "{}").await
    };
    for kills in 1..=3 {
        queue.until_true(|| queue.script.seen_of("poison") == 1).await;
        queue = queue.killed_and_opened().await;
        if kills < 3 {
            queue.script.set("poison", None);
        }
    }
    let dead = queue.until(&id, |status| status.state == RunState::Failed).await;
    assert_eq!(dead.status, Some(RunStatus::InternalError), "no run ended");
    assert_eq!(dead.attempts, 3, "the claim that gave it up began no run");
    assert_eq!(queue.script.seen_of("poison"), 0, "it is not tried a fourth time");
    let letters = queue.events.dead_letters(crate::dead_letters::all(), 0, 10).await.unwrap();
    assert_eq!((letters[0].reason.as_str(), letters[0].attempts), ("platform_ended_during_each_run", 3));
}

#[tokio::test]
async fn a_drain_waits_for_runs_and_begins_no_other() {
    let queue = Queue::open().await;
    queue.script.set("ok", Some(RunStatus::Success));
    let id = queue.accept("ok", "{}").await;
    queue.until(&id, |status| status.state == RunState::Finished).await;
    queue.events.drain(Duration::from_secs(5)).await;
    let late = queue.accept("ok", "{}").await;
    let waiting = queue.events.status(&late).await.unwrap().unwrap();
    assert_eq!(waiting.attempts, 0);
}

#[tokio::test]
async fn a_run_that_a_stop_cuts_off_runs_again_and_is_not_counted_as_a_recovery() {
    let mut queue = Queue::open_with(Config { recoveries_max: 0, ..Config::default() }).await;
    queue.script.set("slow", None);
    let id = queue.accept("slow", "{}").await;
    queue.until_true(|| queue.script.seen_of("slow") == 1).await;
    assert!(!queue.events.drain(Duration::ZERO).await, "a run goes on");
    queue.script.cut.notify_one();
    assert!(queue.events.drain(Duration::from_secs(5)).await, "its end is stored");
    queue = queue.killed_and_opened().await;
    let done = queue.until(&id, |status| status.state == RunState::Finished).await;
    assert_eq!(done.attempts, 2);
}

#[tokio::test]
async fn what_is_never_repeated_fails_with_the_platform_that_ended() {
    let queue = Queue::open().await;
    *queue.script.repeat.lock() = Repeat::Never;
    queue.script.set("slow", None);
    let id = queue.accept("slow", "{}").await;
    queue.until_true(|| queue.script.seen_of("slow") == 1).await;
    assert_eq!(queue.events.under_way()[0].0, id);
    let queue = queue.killed_and_opened_with(|script| *script.repeat.lock() = Repeat::Never).await;
    let dead = queue.until(&id, |status| status.state == RunState::Failed).await;
    assert_eq!((dead.status, dead.attempts), (Some(RunStatus::InternalError), 1));
    assert!(dead.result.unwrap().starts_with("the platform ended during its run"));
    assert_eq!(queue.script.seen_of("slow"), 0, "it does not run twice");

    queue.script.set("slow", None);
    let id = queue.accept("slow", "{}").await;
    queue.until_true(|| queue.script.seen_of("slow") == 1).await;
    assert!(!queue.events.drain(Duration::ZERO).await, "a run goes on");
    queue.script.cut.notify_one();
    assert!(queue.events.drain(Duration::from_secs(5)).await, "its end is stored");
    let dead = queue.events.status(&id).await.unwrap().unwrap();
    assert_eq!((dead.state, dead.status), (RunState::Failed, Some(RunStatus::InternalError)));
    assert!(dead.result.unwrap().starts_with("the platform ended during the run"));
}

#[tokio::test]
async fn what_is_never_repeated_and_did_not_begin_before_a_stop_runs_after_it() {
    let queue = Queue::open().await;
    *queue.script.repeat.lock() = Repeat::Never;
    queue.script.set("waits", None);
    // As for a run that waits for an instance while the pool closes.
    *queue.script.canceled.lock() = Some(RunStatus::InternalError);
    let id = queue.accept("waits", "{}").await;
    queue.until_true(|| queue.script.seen_of("waits") == 1).await;
    assert!(!queue.events.drain(Duration::ZERO).await, "a run goes on");
    queue.script.cut.notify_one();
    assert!(queue.events.drain(Duration::from_secs(5)).await, "its end is stored");
    let queue = queue.killed_and_opened_with(|script| *script.repeat.lock() = Repeat::Never).await;
    let done = queue.until(&id, |status| status.state == RunState::Finished).await;
    assert_eq!(done.attempts, 1, "what did not begin before the stop was no attempt");
}

#[tokio::test]
async fn what_is_repeated_after_a_cut_alone_runs_again_whatever_its_age() {
    let queue = Queue::open().await;
    *queue.script.repeat.lock() = Repeat::AfterCutOff;
    queue.script.set("slow", None);
    let mut event = crate::fixture::event("slow", "{}");
    event.ttl_s = 1;
    let id = event.request_id.clone();
    queue.events.accept(event).await.unwrap();
    queue.until_true(|| queue.script.seen_of("slow") == 1).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let queue = queue.killed_and_opened_with(|script| *script.repeat.lock() = Repeat::AfterCutOff).await;
    queue.until(&id, |status| status.state == RunState::Finished).await;
    queue.script.set("fails", Some(RunStatus::UserProcessExited));
    let id = queue.accept("fails", "{}").await;
    let dead = queue.until(&id, |status| status.state == RunState::Failed).await;
    assert_eq!(dead.attempts, 1, "a failure of its own is not repeated");
}

#[tokio::test]
async fn a_failure_while_the_platform_waits_for_runs_is_the_runs_own() {
    let queue = Queue::open().await;
    *queue.script.repeat.lock() = Repeat::Never;
    queue.script.set("slow", None);
    let id = queue.accept("slow", "{}").await;
    queue.until_true(|| queue.script.seen_of("slow") == 1).await;
    assert!(!queue.events.wait_for_runs(Duration::ZERO).await, "a run goes on");
    queue.script.cut.notify_one();
    assert!(queue.events.wait_for_runs(Duration::from_secs(5)).await);
    let ended = queue.events.status(&id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.status), (RunState::Aborted, Some(RunStatus::RequestCanceled)));
}

#[tokio::test]
async fn a_queue_of_a_newer_version_is_left_alone() {
    let queue = Queue::open().await;
    queue.events.drain(Duration::from_secs(5)).await;
    let path = queue.folder.path().join("events.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute("UPDATE schema_version SET version = 99", []).unwrap();
    let refused = Events::open(path, queue.script.clone(), Config::default()).await.err().unwrap();
    assert!(matches!(refused, Error::NewerSchema { found: 99, .. }), "{refused}");
}

#[tokio::test]
async fn a_run_that_outlasts_its_lease_keeps_its_claim_and_runs_once() {
    let queue = Queue::open_with(Config { lease_s: 1, ..Config::default() }).await;
    queue.script.set("long", None);
    let id = queue.accept("long", "{}").await;
    queue.until_true(|| queue.script.seen_of("long") == 1).await;
    let lease = || queue.row(&id, "lease_until_ms").unwrap();
    let first = lease();
    queue.until_true(|| lease() > first + 2_000).await;
    assert_eq!(queue.script.seen_of("long"), 1, "it was renewed beyond two leases");
    queue.script.cut.notify_one();
    queue.until(&id, |status| status.state != RunState::Running).await;
    assert_eq!(queue.script.seen_of("long"), 1);
}

#[tokio::test]
async fn a_wait_for_a_due_time_holds_no_lease() {
    let queue = Queue::open().await;
    let late = events::NewEvent { delay_s: 3600, ..crate::fixture::event("later", "{}") };
    queue.events.accept(late.clone()).await.unwrap();
    queue.script.set("faulty", Some(RunStatus::UserCodeException));
    let retried = queue.accept("faulty", "{}").await;
    queue.until(&retried, |status| status.status.is_some()).await;
    for id in [&late.request_id, &retried] {
        assert_eq!((queue.row(id, "state"), queue.row(id, "lease_until_ms")), (Some(0), None));
    }
}

#[tokio::test]
async fn an_event_that_is_too_old_after_an_outage_does_not_run() {
    let queue = Queue::open().await;
    let late = events::NewEvent { delay_s: 3600, ..crate::fixture::event("late", "{}") };
    queue.events.accept(late.clone()).await.unwrap();
    assert!(queue.events.drain(Duration::from_secs(5)).await);
    queue.file().execute("UPDATE events SET due_ms = 1, expires_ms = 2", []).unwrap();
    let queue = queue.killed_and_opened().await;
    let dead = queue.until(&late.request_id, |status| status.state == RunState::Failed).await;
    assert!(dead.result.unwrap().contains("maximum age (MsgTTL,"), "it says why");
    assert_eq!(queue.script.seen_of("late"), 0);
    let letters = queue.events.dead_letters(crate::dead_letters::all(), 0, 10).await.unwrap();
    assert_eq!((letters[0].reason.as_str(), letters[0].attempts), ("expired", 0));
}
