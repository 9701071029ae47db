//! Deleting functions, creating them again, and replacing them in one step.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use store::{Error, FunctionQuery};
use support::{Home, active, entry, image, key, latest, new_function, reason, update, version_key};
use types::{Namespace, Status};

#[tokio::test]
async fn a_deleted_function_cannot_be_called_at_once_and_keeps_its_name_until_the_end() {
    let home = Home::new();
    let store = home.open().await;
    let version = active(&store, "hello", image(1)).await;
    let id = store.begin_delete(&key("hello")).await.unwrap();
    assert_eq!(id, version.function_id);
    assert!(entry(&store, "hello").is_none());
    assert_eq!(latest(&store, "hello").await.status, Status::Deleting);
    assert_eq!(store.deleting().await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(store.begin_delete(&key("hello")).await.unwrap(), id);

    let taken = store.create_function(new_function("hello")).await.unwrap_err();
    assert_eq!(
        taken.to_string(),
        "function default/hello is still being deleted; try again when it can no longer be found"
    );
    assert!(matches!(update(&store, "hello", "x").await.unwrap_err(), Error::WrongStatus { .. }));

    store.finish_delete(&id).await.unwrap();
    store.finish_delete(&id).await.unwrap();
    assert!(matches!(store.function(&key("hello")).await.unwrap_err(), Error::FunctionNotFound { .. }));
    let again = store.create_function(new_function("hello")).await.unwrap();
    assert_ne!(again.id, id);
    assert_eq!(entry(&store, "hello").unwrap().record.id, again.id);
}

#[tokio::test]
async fn finishing_does_not_remove_a_function_that_is_not_being_deleted() {
    let home = Home::new();
    let store = home.open().await;
    let version = active(&store, "hello", image(1)).await;
    store.finish_delete(&version.function_id).await.unwrap();
    assert_eq!(latest(&store, "hello").await, version);
}

#[tokio::test]
async fn a_function_can_be_deleted_in_every_state() {
    let home = Home::new();
    let store = home.open().await;
    store.create_function(new_function("creating")).await.unwrap();
    store.create_function(new_function("failed")).await.unwrap();
    store.mark_failed(&version_key(&latest(&store, "failed").await), reason()).await.unwrap();
    active(&store, "updating", image(1)).await;
    update(&store, "updating", "localhost/x").await.unwrap();
    for name in ["creating", "failed", "updating"] {
        let id = store.begin_delete(&key(name)).await.unwrap();
        store.finish_delete(&id).await.unwrap();
    }
    assert!(store.pending().await.unwrap().is_empty());
    let query = FunctionQuery::all(Namespace::default_namespace());
    assert_eq!(store.functions(&query).await.unwrap().total, 0);
}

#[tokio::test]
async fn a_replacement_takes_the_name_at_once() {
    let home = Home::new();
    let store = home.open().await;
    let old = active(&store, "hello", image(1)).await;
    let new = store.replace_function(new_function("hello")).await.unwrap();
    assert_ne!(new.id, old.function_id);
    assert_eq!(latest(&store, "hello").await.status, Status::Creating);
    assert_eq!(entry(&store, "hello").unwrap().record.id, new.id);
    assert_eq!(store.deleting().await.unwrap(), [old.function_id]);
    // A third function may take the name before the first is removed, also from one that is already
    // being deleted.
    store.begin_delete(&key("hello")).await.unwrap();
    let third = store.replace_function(new_function("hello")).await.unwrap();
    assert_eq!(store.deleting().await.unwrap().len(), 2);
    for id in store.deleting().await.unwrap() {
        store.finish_delete(&id).await.unwrap();
    }
    assert_eq!(store.function(&key("hello")).await.unwrap().record, third);
    let free = store.replace_function(new_function("other")).await.unwrap();
    assert_eq!(store.function(&key("other")).await.unwrap().record, free);
}

#[tokio::test]
async fn a_failed_replacement_leaves_the_old_function() {
    let home = Home::with(store::Config { spec_bytes_max: 1_000, ..store::Config::default() });
    let store = home.open().await;
    let old = active(&store, "hello", image(1)).await;
    let mut new = new_function("hello");
    new.spec.description = "x".repeat(1_000);
    let refused = store.replace_function(new).await.unwrap_err();
    assert!(matches!(refused, Error::SpecTooLarge { bytes_max: 1_000, .. }), "{refused}");
    assert_eq!(latest(&store, "hello").await, old);
    assert!(entry(&store, "hello").is_some());
}
