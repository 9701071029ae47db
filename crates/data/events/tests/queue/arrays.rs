//! Events that are accepted as one array, and the number of each run.

use events::{Config, Error, RunState};
use types::RunStatus;

use crate::dead_letters::all;
use crate::fixture::{Queue, event};

#[tokio::test]
async fn each_event_of_an_array_runs_with_its_place_also_when_it_is_redriven() {
    let queue = Queue::open().await;
    queue.script.set("films", Some(RunStatus::InvalidEvent));
    let ids = queue.events.accept_array(event("films", "{}"), 3).await.unwrap();
    for id in &ids {
        queue.until(id, |status| status.state == RunState::Failed).await;
    }
    queue.script.set("films", Some(RunStatus::Success));
    queue.events.redrive(&ids[2]).await.unwrap();
    queue.until(&ids[2], |status| status.state == RunState::Finished).await;
    let seen: Vec<_> = queue.script.seen.lock().clone();
    let mut places: Vec<_> = seen.iter().map(|run| (run.request_id.clone(), run.array.unwrap().to_string())).collect();
    assert_eq!(places.pop(), Some((ids[2].clone(), "2/3".to_owned())));
    for (index, id) in ids.iter().enumerate() {
        assert!(places.contains(&(id.clone(), format!("{index}/3"))), "{places:?}");
    }
    assert!(seen.iter().all(|run| run.attempt == 1), "a redrive begins anew");
}

#[tokio::test]
async fn an_array_for_which_there_is_no_room_leaves_nothing() {
    let queue = Queue::open_with(Config { function_rows_max: 5, ..Config::default() }).await;
    queue.script.set("films", None);
    let refused = queue.events.accept_array(event("films", "{}"), 6).await.unwrap_err();
    assert!(matches!(refused, Error::Full { .. }), "{refused}");
    assert_eq!(queue.events.waiting(None), 0);
    queue.events.accept_array(event("films", "{}"), 5).await.unwrap();
    assert_eq!(queue.events.waiting(None), 5);
}

#[tokio::test]
async fn a_run_after_a_kill_has_the_next_number() {
    let queue = Queue::open().await;
    queue.script.set("films", None);
    let id = queue.accept("films", "{}").await;
    queue.until_true(|| queue.script.seen_of("films") == 1).await;
    let queue = queue.killed_and_opened().await;
    queue.until(&id, |status| status.state == RunState::Finished).await;
    assert_eq!(queue.script.seen.lock()[0].attempt, 2);
}

#[tokio::test]
async fn the_dead_letter_of_a_temporary_function_says_that_it_cannot_be_redriven() {
    let queue = Queue::open().await;
    *queue.script.temporary.lock() = true;
    queue.script.set("films", Some(RunStatus::InvalidEvent));
    let id = queue.accept("films", "{}").await;
    let state = queue.until(&id, |status| status.state == RunState::Failed).await;
    assert_eq!(state.result.as_deref(), Some("it failed"));
    let letter = queue.events.dead_letters(all(), 0, 10).await.unwrap().remove(0);
    assert!(letter.result.unwrap().starts_with("it failed; this cannot be redriven"));
}
