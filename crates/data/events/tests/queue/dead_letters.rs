//! Dead letters: kept with their reason, redriven at a limited rate, purged.

use events::{Config, DeadLetter, DeadLetters, Error, RunState};
use types::{RequestId, RunStatus};

use crate::fixture::Queue;

pub(crate) fn all() -> DeadLetters {
    DeadLetters { namespace: "default".parse().unwrap(), function: None }
}

fn of(function: &str) -> DeadLetters {
    DeadLetters { function: Some(function.parse().unwrap()), ..all() }
}

async fn letters(queue: &Queue) -> Vec<DeadLetter> {
    queue.events.dead_letters(all(), 0, 1000).await.unwrap()
}

/// An event of a function that does not exist.
async fn dies(queue: &Queue, function: &str, payload: &str) -> RequestId {
    queue.script.set(function, Some(RunStatus::FunctionNotFound));
    let id = queue.accept(function, payload).await;
    queue.until(&id, |status| status.state == RunState::Failed).await;
    id
}

#[tokio::test]
async fn a_redrive_is_a_new_delivery_of_the_same_id_and_bytes() {
    let queue = Queue::open().await;
    let payload = r#"{"keep":  1.0}"#;
    let id = dies(&queue, "gone", payload).await;
    let found = letters(&queue).await;
    assert_eq!((found.len(), found[0].reason.as_str()), (1, "refused"));
    assert_eq!((found[0].status, found[0].attempts), (Some(RunStatus::FunctionNotFound), 0));
    assert_eq!(found[0].payload_bytes, payload.len() as u64);
    assert_eq!(queue.events.dead_letter(&id).await.unwrap().1.unwrap(), payload);

    queue.script.set("gone", Some(RunStatus::Success));
    queue.events.redrive(&id).await.unwrap();
    let done = queue.until(&id, |status| status.state == RunState::Finished).await;
    assert_eq!((done.result.as_deref(), done.attempts), (Some(r#"got {"keep":  1.0}"#), 1), "attempts begin anew");
    assert!(letters(&queue).await.is_empty());
    assert!(matches!(queue.events.redrive(&id).await, Err(Error::NotFound(_))), "it is a dead letter no longer");
}

#[tokio::test]
async fn an_event_that_dies_again_has_one_state_and_a_row_for_each_death() {
    let queue = Queue::open().await;
    let id = dies(&queue, "gone", "{}").await;
    queue.events.redrive(&id).await.unwrap();
    queue.until(&id, |status| status.state == RunState::Failed).await;
    let now = letters(&queue).await;
    assert_eq!(now.len(), 1);
    let (rows, payload) = queue.events.dead_letter(&id).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].redriven_ms.is_some() && rows[1].redriven_ms.is_none() && rows[1].row == now[0].row);
    assert_eq!((rows[0].attempts, rows[1].attempts), (0, 0), "no run began");
    assert_eq!(payload.unwrap(), "{}");
}

#[tokio::test]
async fn a_redrive_of_all_is_spread_over_time() {
    let queue = Queue::open_with(Config { redrive_per_second_max: 1, ..Config::default() }).await;
    for number in 0..40 {
        dies(&queue, "gone", &number.to_string()).await;
    }
    let other = dies(&queue, "other", "{}").await;
    let before = queue.script.seen_of("gone");
    queue.script.set("gone", Some(RunStatus::Success));
    assert_eq!(queue.events.redrive_all(of("gone")).await.unwrap(), 40);
    assert_eq!(letters(&queue).await[0].request_id, other, "those of another function stay");
    queue.until_true(|| queue.script.seen_of("gone") > before).await;
    // The last of them is due 39 seconds later; this process would have to be stopped for that
    // long.
    let waiting = queue.events.waiting(None);
    assert!(waiting > 0, "all of them became due at once");
}

#[tokio::test]
async fn a_redrive_heeds_the_bounds_of_the_queue() {
    let queue = Queue::open_with(Config { function_rows_max: 3, ..Config::default() }).await;
    for number in 0..5 {
        dies(&queue, "gone", &number.to_string()).await;
    }
    queue.script.set("gone", None);
    assert_eq!(queue.events.redrive_all(all()).await.unwrap(), 3);
    assert_eq!(letters(&queue).await.len(), 2, "the others stay dead letters");
    let full = queue.events.redrive_all(all()).await.unwrap_err();
    assert!(full.to_string().contains("events.function_rows_max"), "{full}");
    let one = queue.events.redrive(&letters(&queue).await[0].request_id).await;
    assert!(matches!(one, Err(Error::Full { .. })));
    assert_eq!(queue.events.waiting(None), 3);
}

#[tokio::test]
async fn pages_of_dead_letters_follow_their_rows() {
    let queue = Queue::open().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(dies(&queue, "gone", &number.to_string()).await);
    }
    let first = queue.events.dead_letters(all(), 0, 3).await.unwrap();
    let second = queue.events.dead_letters(all(), first[2].row, 3).await.unwrap();
    let found: Vec<_> = first.iter().chain(&second).map(|letter| letter.request_id.clone()).collect();
    assert_eq!(found, ids);
}

#[tokio::test]
async fn dead_letters_are_purged_by_id_by_function_and_all() {
    let queue = Queue::open().await;
    let (one, _) = (dies(&queue, "aa", "1").await, dies(&queue, "aa", "2").await);
    dies(&queue, "bb", "3").await;
    dies(&queue, "bb", "4").await;
    queue.events.purge_one(&one).await.unwrap();
    assert!(matches!(queue.events.purge_one(&one).await, Err(Error::NotFound(_))));
    assert_eq!(queue.events.purge(of("bb")).await.unwrap(), 2);
    assert_eq!(letters(&queue).await.len(), 1);
    assert_eq!(queue.events.purge(all()).await.unwrap(), 1);
    assert_eq!(queue.events.purge(all()).await.unwrap(), 0);
}

#[tokio::test]
async fn what_has_no_function_any_more_stays_a_dead_letter_and_says_what_to_do() {
    let queue = Queue::open().await;
    let id = dies(&queue, "missing", "{}").await;
    let refused = queue.events.redrive(&id).await.unwrap_err();
    assert!(matches!(refused, Error::FunctionGone { .. }), "{refused}");
    for said in ["default/missing was deleted", &format!("sampan events dead-letter {id}"), "--keep"] {
        assert!(refused.to_string().contains(said), "{said}: {refused}");
    }
    assert!(matches!(queue.events.redrive_all(all()).await, Err(Error::FunctionGone { .. })));
    let there = dies(&queue, "there", "{}").await;
    queue.script.set("there", Some(RunStatus::Success));
    assert_eq!(queue.events.redrive_all(all()).await.unwrap(), 1, "those that can run do");
    queue.until(&there, |status| status.state == RunState::Finished).await;
    assert_eq!(letters(&queue).await[0].request_id, id);
}
