//! Limits of waiting events, and of the file.

use events::{Config, Error};

use crate::fixture::{Queue, event};

#[tokio::test]
async fn beyond_the_bounds_of_a_function_events_are_refused_and_others_are_not() {
    let queue = Queue::open_with(Config { function_rows_max: 3, function_bytes_max: 100, ..Config::default() }).await;
    queue.script.set("slow", None);
    for _ in 0..3 {
        queue.accept("slow", "{}").await;
    }
    let refused = queue.events.accept(event("slow", "{}")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "function default/slow has 3 waiting events, as many as events.function_rows_max allows; try again later"
    );
    let large = queue.events.accept(event("large", &"x".repeat(101))).await.unwrap_err();
    assert!(matches!(large, Error::Full { key: "events.function_bytes_max", .. }), "{large}");
    queue.accept("other", "{}").await;
}

#[tokio::test]
async fn new_events_are_refused_before_the_disk_is_full() {
    let queue = Queue::open_with(Config { disk_free_bytes_min: u64::MAX, ..Config::default() }).await;
    let refused = queue.events.accept(event("any", "{}")).await.unwrap_err();
    assert!(refused.to_string().contains("events.disk_free_bytes_min"), "{refused}");
}

#[tokio::test]
async fn the_oldest_dead_letter_of_a_namespace_makes_room() {
    let queue = Queue::open_with(Config { dead_letters_max: 2, ..Config::default() }).await;
    queue.script.set("gone", Some(types::RunStatus::FunctionNotFound));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = queue.accept("gone", "{}").await;
        queue.until(&id, |status| status.state == events::RunState::Failed).await;
        ids.push(id);
    }
    let letters = queue.events.dead_letters(crate::dead_letters::all(), 0, 10).await.unwrap();
    let kept: Vec<_> = letters.into_iter().map(|letter| letter.request_id).collect();
    assert_eq!(kept, ids[1..]);
}

#[tokio::test]
async fn a_function_that_always_fails_removes_its_own_dead_letters_first() {
    let queue = Queue::open_with(Config { dead_letters_max: 4, ..Config::default() }).await;
    for (function, times) in [("precious", 1), ("broken", 6)] {
        queue.script.set(function, Some(types::RunStatus::FunctionNotFound));
        for _ in 0..times {
            let id = queue.accept(function, "{}").await;
            queue.until(&id, |status| status.state == events::RunState::Failed).await;
        }
    }
    let letters = queue.events.dead_letters(crate::dead_letters::all(), 0, 10).await.unwrap();
    let functions: Vec<_> = letters.iter().map(|letter| letter.address.function.name.as_str()).collect();
    assert_eq!(functions, ["precious", "broken", "broken", "broken"]);
    assert!(letters.iter().all(|letter| letter.attempts == 0), "no run began");
}
