//! The snapshot and its notices.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Home, active, entry, image, key, new_function, resize, served, update, version_key};

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

#[tokio::test]
async fn every_change_is_told_after_it_can_be_seen() {
    let home = Home::new();
    let store = home.open().await;
    let mut changes = store.changes();
    let mut told = async || {
        let told = tokio::time::timeout(Duration::from_secs(10), changes.changed()).await;
        told.expect("a notice in time").unwrap();
        let revision = *changes.borrow_and_update();
        assert_eq!(revision, store.catalog().load().revision);
    };
    store.create_function(new_function("hello")).await.unwrap();
    told().await;
    let first = version_key(&support::latest(&store, "hello").await);
    store.mark_active(&first, image(1)).await.unwrap();
    told().await;
    update(&store, "hello", "localhost/hello:v2").await.unwrap();
    told().await;
    store.begin_delete(&key("hello")).await.unwrap();
    told().await;
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
        // Polled once, so that it has begun, then dropped.
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
