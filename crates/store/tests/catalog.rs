//! The snapshot and its change notifications.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use std::sync::Arc;
use std::time::Duration;

use store::{Config, NewAlias, Store};
use support::{Home, active, entry, image, key, latest, new_function, resize, served, update, version_key};
use types::{ChangeSet, FunctionChange, Route, VersionKey, VersionName};

#[tokio::test]
async fn only_the_changed_entry_is_made_anew() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "one", image(1)).await;
    active(&store, "two", image(2)).await;
    let (one, two) = (entry(&store, "one").unwrap(), entry(&store, "two").unwrap());
    let held = store.catalog().load_full();
    resize(&store, "one", 256).await.unwrap();
    assert!(!Arc::ptr_eq(&one, &entry(&store, "one").unwrap()));
    assert!(Arc::ptr_eq(&two, &entry(&store, "two").unwrap()));
    assert!(Arc::ptr_eq(&one, &held.functions[&key("one")]), "a snapshot that is held does not change");
}

/// Number of functions that the snapshot after a new alias copied, in a store with this many
/// functions.
async fn copied_by_an_alias(functions: usize) -> usize {
    let home = Home::new();
    let store = home.open().await;
    for number in 0..functions {
        store.create_function(new_function(&format!("function-{number}"))).await.unwrap();
    }
    let before = store.catalog().load_full();
    let references = |name: &types::FunctionKey| Arc::strong_count(&before.functions[name]);
    let keys: Vec<_> = before.functions.iter().map(|(key, _)| key.clone()).collect();
    let counted: Vec<_> = keys.iter().map(references).collect();
    let alias = NewAlias {
        key: key("function-0"),
        name: "prod".into(),
        route: Route::to(VersionName::Latest),
        description: String::new(),
    };
    store.create_alias(alias).await.unwrap();
    assert!(entry(&store, "function-0").unwrap().aliases.contains_key("prod"));
    keys.iter().map(references).zip(counted).filter(|(after, before)| after > before).count()
}

#[tokio::test]
async fn a_write_copies_nothing_of_other_functions_however_many_there_are() {
    assert_eq!((copied_by_an_alias(3).await, copied_by_an_alias(60).await), (0, 0));
}

fn changes_since(store: &Store, revision: u64) -> Option<Vec<ChangeSet>> {
    store.catalog().load().changes_since(revision).map(|sets| sets.cloned().collect())
}

/// The only function that the newest revision changed.
fn last_change(store: &Store) -> FunctionChange {
    let sets = changes_since(store, store.catalog().load().revision - 1).unwrap();
    let [ChangeSet { functions, quota: false }] = &sets[..] else { panic!("{sets:?}") };
    let [change] = &functions[..] else { panic!("{functions:?}") };
    change.clone()
}

#[tokio::test]
async fn a_change_set_names_the_function_and_what_is_not_served_any_more() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "other", image(9)).await;
    let first = version_key(&active(&store, "hello", image(1)).await);
    let change = |unserved: &[&VersionKey]| FunctionChange {
        key: key("hello"),
        id: first.function_id.clone(),
        unserved: unserved.iter().copied().cloned().collect(),
    };
    assert_eq!(last_change(&store), change(&[]));
    update(&store, "hello", "localhost/hello:v2").await.unwrap();
    assert_eq!(last_change(&store), change(&[]), "the version before is served until the new one is ready");
    let second = version_key(&latest(&store, "hello").await);
    store.mark_active(&second, image(2)).await.unwrap();
    assert_eq!(last_change(&store), change(&[&first]));

    let replacement = store.replace_function(new_function("hello")).await.unwrap();
    let sets = changes_since(&store, store.catalog().load().revision - 1).unwrap();
    let made = FunctionChange { key: key("hello"), id: replacement.id, unserved: Vec::new() };
    assert_eq!(sets, [ChangeSet { functions: vec![change(&[&second]), made], quota: false }]);
}

#[tokio::test]
async fn a_reader_that_lags_behind_does_not_know_what_changed() {
    let home = Home::with(Config { change_sets_max: 2, ..Config::default() });
    let store = home.open().await;
    let seen = store.catalog().load().revision;
    assert_eq!(changes_since(&store, seen), Some(Vec::new()));
    store.set_quota(20_000, None).await.unwrap();
    assert_eq!(changes_since(&store, seen), Some(vec![ChangeSet { functions: Vec::new(), quota: true }]));
    for name in ["one", "two"] {
        store.create_function(new_function(name)).await.unwrap();
    }
    assert_eq!(changes_since(&store, seen), None);
    assert_eq!(changes_since(&store, seen + 1).unwrap().len(), 2);
}

#[tokio::test]
async fn every_change_is_announced_after_it_can_be_seen() {
    let home = Home::new();
    let store = home.open().await;
    let mut changes = store.changes();
    let mut announced = async || {
        let changed = tokio::time::timeout(Duration::from_secs(10), changes.changed()).await;
        changed.expect("a notice in time").unwrap();
        let revision = *changes.borrow_and_update();
        assert_eq!(revision, store.catalog().load().revision);
    };
    store.create_function(new_function("hello")).await.unwrap();
    announced().await;
    let first = version_key(&support::latest(&store, "hello").await);
    store.mark_active(&first, image(1)).await.unwrap();
    announced().await;
    update(&store, "hello", "localhost/hello:v2").await.unwrap();
    announced().await;
    store.begin_delete(&key("hello")).await.unwrap();
    announced().await;
    assert!(!changes.has_changed().unwrap());
    store.set_progress(&first, "x");
    store.finish_delete(&first.function_id).await.unwrap();
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test]
async fn a_write_whose_caller_goes_away_is_still_seen() {
    let home = Home::new();
    let store = home.open().await;
    let mut changes = store.changes();
    for n in 0..20 {
        let name = format!("hello{n}");
        let mut create = Box::pin(store.create_function(new_function(&name)));
        // Polled once, so that the write has begun, then dropped.
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(create.as_mut().poll(cx).is_pending())).await);
        drop(create);
        let seen = changes.wait_for(|_| entry(&store, &name).is_some());
        drop(tokio::time::timeout(Duration::from_secs(10), seen).await.expect("the function in time").unwrap());
    }
}

#[tokio::test]
async fn a_restart_makes_the_same_snapshot() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "serving", image(1)).await;
    update(&store, "serving", "localhost/serving:v2").await.unwrap();
    store.create_function(new_function("creating")).await.unwrap();
    active(&store, "deleting", image(2)).await;
    store.begin_delete(&key("deleting")).await.unwrap();
    store.replace_function(new_function("creating")).await.unwrap();
    store.create_namespace(&"blue".parse().unwrap(), "").await.unwrap();
    let text = |store: &store::Store| {
        let catalog = store.catalog().load_full();
        let mut functions: Vec<_> = catalog.functions.iter().map(|entry| format!("{entry:?}")).collect();
        functions.sort();
        (functions, catalog.namespaces.clone())
    };
    let (before, pending, deleting) = (text(&store), store.pending().await.unwrap(), store.deleting().await.unwrap());
    drop(store);
    let store = home.open().await;
    assert_eq!(text(&store), before);
    assert_eq!(store.pending().await.unwrap(), pending);
    assert_eq!(store.deleting().await.unwrap(), deleting);
    assert_eq!((before.0.len(), pending.len(), deleting.len()), (2, 2, 2));
    assert_eq!(served(&store, "serving"), Some((1, image(1))));
}
