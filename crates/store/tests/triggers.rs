//! Triggers: creation, changes and deletion, and their place in the catalog.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use store::{Config, Error, NewTrigger, Store, TriggerChange, TriggerName};
use support::{Home, active, entry, image, key};
use types::{Qualifier, Trigger, TriggerOptions};

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn named(name: &str) -> TriggerName {
    TriggerName { kind: "timer".to_owned(), name: name.to_owned(), qualifier: Qualifier::LATEST }
}

fn new(name: TriggerName) -> NewTrigger {
    NewTrigger {
        key: key("hello"),
        name,
        desc: object(json!({"cron": "* * * * *"})),
        options: TriggerOptions { max_age_s: Some(60), ..TriggerOptions::default() },
        enabled: true,
        custom_argument: "hi".to_owned(),
        description: "each minute".to_owned(),
    }
}

fn triggers(store: &Store) -> Vec<Arc<Trigger>> {
    entry(store, "hello").unwrap().triggers.clone()
}

#[tokio::test]
async fn a_trigger_is_in_the_catalog_and_survives_a_restart() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let before = store.catalog().load().revision;
    let made = store.create_trigger(new(named("b"))).await.unwrap();
    store.create_trigger(new(named("a"))).await.unwrap();
    let catalog = store.catalog().load_full();
    let changed: Vec<_> = catalog.changes_since(before).unwrap().flat_map(|set| &set.functions).collect();
    assert!(changed.iter().all(|change| change.key == key("hello")) && changed.len() == 2);
    assert_eq!(triggers(&store).iter().map(|trigger| trigger.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(triggers(&store)[1], made);
    let kept = triggers(&store);
    store.close().await;
    assert_eq!(triggers(&home.open().await), kept);
}

#[tokio::test]
async fn only_a_change_of_what_is_due_looks_forward() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let made = store.create_trigger(new(named("a"))).await.unwrap();
    let change = async |change: TriggerChange| {
        while now_ms() <= triggers(&store)[0].modified_ms {
            tokio::task::yield_now().await;
        }
        store.change_trigger(&key("hello"), &named("a"), change).await.unwrap()
    };
    let described =
        TriggerChange { description: Some("x".to_owned()), enabled: Some(false), ..TriggerChange::default() };
    let paused = change(described).await;
    assert_eq!((paused.since_ms, paused.enabled, paused.description.as_str()), (made.since_ms, false, "x"));
    assert!(paused.modified_ms > made.modified_ms);
    let resumed = change(TriggerChange { enabled: Some(true), ..TriggerChange::default() }).await;
    assert_eq!(resumed.since_ms, resumed.modified_ms);
    let desc = (object(json!({"cron": "1 * * * *"})), TriggerOptions::default());
    let edited = change(TriggerChange { desc: Some(desc.clone()), ..TriggerChange::default() }).await;
    assert!(edited.since_ms > resumed.since_ms && edited.options == TriggerOptions::default());
    let same = change(TriggerChange { desc: Some(desc), ..TriggerChange::default() }).await;
    assert_eq!((same.since_ms, &same.id, same.added_ms), (edited.since_ms, &made.id, made.added_ms));
}

#[tokio::test]
async fn names_are_unique_and_their_number_bounded() {
    let home = Home::with(Config { triggers_per_kind_max: 2, ..Config::default() });
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    store.create_trigger(new(named("a"))).await.unwrap();
    let twice = store.create_trigger(new(named("a"))).await.unwrap_err();
    assert_eq!(twice.to_string(), "function default/hello has a timer trigger a for $LATEST already");
    let alias = TriggerName { qualifier: Qualifier::Alias("$DEFAULT".into()), ..named("a") };
    store.create_trigger(new(alias)).await.unwrap();
    assert!(matches!(store.create_trigger(new(named("b"))).await, Err(Error::TooManyTriggers { .. })));
    store.create_trigger(new(TriggerName { kind: "other".to_owned(), ..named("a") })).await.unwrap();
    let nowhere = TriggerName { qualifier: Qualifier::Alias("prod".into()), ..named("x") };
    assert!(matches!(store.create_trigger(new(nowhere)).await, Err(Error::QualifierNotFound { .. })));
    store.delete_trigger(&key("hello"), &named("a")).await.unwrap();
    assert!(matches!(store.delete_trigger(&key("hello"), &named("a")).await, Err(Error::TriggerNotFound { .. })));
    assert_eq!(triggers(&store).len(), 2);
}

#[tokio::test]
async fn a_function_that_is_deleted_takes_its_triggers_along() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    store.create_trigger(new(named("a"))).await.unwrap();
    let id = store.begin_delete(&key("hello")).await.unwrap();
    assert!(entry(&store, "hello").is_none());
    assert!(matches!(store.create_trigger(new(named("b"))).await, Err(Error::WrongStatus { .. })));
    store.finish_delete(&id).await.unwrap();
    active(&store, "hello", image(1)).await;
    assert!(triggers(&store).is_empty());
    store.create_trigger(new(named("a"))).await.unwrap();
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
