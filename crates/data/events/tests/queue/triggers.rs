//! Events of triggers that bound their concurrency.

use events::RunState;
use types::{RunStatus, TriggerId};

use crate::fixture::{Queue, event};

async fn accept(queue: &Queue, trigger: &TriggerId, count: usize) -> Vec<types::RequestId> {
    let mut ids = Vec::new();
    for n in 0..count {
        let event = event("films", &n.to_string());
        ids.push(event.request_id.clone());
        queue.events.accept_of_trigger(event, trigger, None).await.unwrap();
    }
    ids
}

#[tokio::test]
async fn no_more_events_of_a_trigger_run_at_once_than_it_allows_and_no_others_wait_for_them() {
    let queue = Queue::open().await;
    let (narrow, wide) = (TriggerId::random(), TriggerId::random());
    queue.script.concurrency.lock().insert(narrow.clone(), 2);
    queue.script.set("films", None);
    let narrow_ids = accept(&queue, &narrow, 50).await;
    queue.until_true(|| queue.script.seen_of("films") == 2).await;
    // All others are accepted after those that wait.
    accept(&queue, &wide, 3).await;
    queue.accept("films", "none").await;
    queue.until_true(|| queue.script.seen_of("films") == 6).await;
    assert_eq!(running(&queue, &narrow_ids).await, 2, "the bound holds beside others");

    // Each end lets one more run.
    queue.events.terminate(&narrow_ids[0], None, false).await.unwrap();
    queue.until(&narrow_ids[0], |status| status.state == RunState::Aborted).await;
    queue.until_true(|| queue.script.seen_of("films") == 7).await;
    assert_eq!(running(&queue, &narrow_ids).await, 2);

    // A raised limit applies to events that wait already.
    queue.script.concurrency.lock().insert(narrow.clone(), 3);
    queue.accept("other", "{}").await;
    queue.until_true(|| queue.script.seen_of("films") == 8).await;
    assert_eq!(running(&queue, &narrow_ids).await, 3);
}

/// How many of these have begun and not ended.
async fn running(queue: &Queue, ids: &[types::RequestId]) -> usize {
    let mut running = 0;
    for id in ids {
        let status = queue.events.status(id).await.unwrap().unwrap();
        running += usize::from(status.attempts == 1 && status.state == RunState::Running);
    }
    running
}

#[tokio::test]
async fn a_bound_of_one_runs_all_events_of_a_trigger_one_after_the_other_over_a_restart() {
    let mut queue = Queue::open().await;
    let trigger = TriggerId::random();
    queue.script.concurrency.lock().insert(trigger.clone(), 1);
    queue.script.set("films", None);
    let ids = accept(&queue, &trigger, 20).await;
    queue.until_true(|| queue.script.seen_of("films") == 1).await;
    queue = queue
        .killed_and_opened_with(|script| {
            script.concurrency.lock().insert(trigger.clone(), 1);
            script.set("films", None);
        })
        .await;
    queue.until_true(|| queue.script.seen_of("films") == 1).await;
    queue.script.set("films", Some(RunStatus::Success));
    assert_eq!(queue.script.seen_of("films"), 1, "one waits for the other");
    queue.events.terminate(&ids[0], None, false).await.unwrap();
    for id in &ids[1..] {
        let done = queue.until(id, |status| status.state == RunState::Finished).await;
        assert_eq!(done.attempts, 1);
    }
}

#[tokio::test]
async fn a_dead_letter_that_is_redriven_counts_for_its_trigger() {
    let queue = Queue::open().await;
    let trigger = TriggerId::random();
    queue.script.concurrency.lock().insert(trigger.clone(), 1);
    queue.script.set("films", Some(RunStatus::InvalidEvent));
    let died = accept(&queue, &trigger, 1).await.remove(0);
    queue.until(&died, |status| status.state == RunState::Failed).await;
    queue.script.set("films", None);
    accept(&queue, &trigger, 1).await;
    queue.until_true(|| queue.script.seen_of("films") == 2).await;
    queue.events.redrive(&died).await.unwrap();
    queue.accept("films", "{}").await;
    queue.until_true(|| queue.script.seen_of("films") == 3).await;
    let status = queue.events.status(&died).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempts), (RunState::Running, 0), "it waits for the other");
}
