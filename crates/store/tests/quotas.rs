//! Quotas: the memory that they must leave, their entries in the catalog, and persistence.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use store::{Error, QuotaError, Store};
use support::{Home, active, image, key};

async fn with_functions(home: &Home) -> Store {
    let store = home.open().await;
    for name in ["one", "two"] {
        active(&store, name, image(1)).await;
    }
    store
}

fn reserved(store: &Store, name: &str) -> Option<u64> {
    store.catalog().load().functions[&key(name)].reserved_mb
}

#[tokio::test]
async fn a_reservation_is_in_force_at_once_and_after_a_restart_and_can_be_taken_back() {
    let home = Home::new();
    let store = with_functions(&home).await;
    assert_eq!(reserved(&store, "one"), None);
    store.reserve(&key("one"), Some(512), Some(4096)).await.unwrap();
    store.reserve(&key("two"), Some(0), Some(4096)).await.unwrap();
    assert_eq!((reserved(&store, "one"), reserved(&store, "two")), (Some(512), Some(0)));
    drop(store);
    let store = home.open().await;
    assert_eq!((reserved(&store, "one"), reserved(&store, "two")), (Some(512), Some(0)));
    assert_eq!(store.function(&key("one")).await.unwrap().reserved_mb, Some(512));
    store.reserve(&key("one"), None, Some(4096)).await.unwrap();
    assert_eq!(reserved(&store, "one"), None);
}

#[tokio::test]
async fn reservations_leave_the_others_a_tenth_of_the_quota() {
    let home = Home::new();
    let store = with_functions(&home).await;
    store.reserve(&key("one"), Some(500), Some(1000)).await.unwrap();
    let error = store.reserve(&key("two"), Some(401), Some(1000)).await.unwrap_err();
    assert!(matches!(error, Error::Quota(QuotaError::ReservedTooMuch { free_mb: 400, .. })), "{error}");
    assert_eq!(reserved(&store, "two"), None);
    store.reserve(&key("two"), Some(400), Some(1000)).await.unwrap();
    // A function's own reservation does not count against its next one.
    store.reserve(&key("one"), Some(450), Some(1000)).await.unwrap();
    store.reserve(&key("two"), Some(1 << 40), None).await.unwrap();
    let error = store.reserve(&key("none"), Some(1), None).await.unwrap_err();
    assert!(matches!(error, Error::FunctionNotFound { .. }), "{error}");
}

#[tokio::test]
async fn what_a_deleted_function_had_is_free_again() {
    let home = Home::new();
    let store = with_functions(&home).await;
    store.reserve(&key("one"), Some(900), Some(1000)).await.unwrap();
    assert!(store.reserve(&key("two"), Some(900), Some(1000)).await.is_err());
    store.begin_delete(&key("one")).await.unwrap();
    store.reserve(&key("two"), Some(900), Some(1000)).await.unwrap();
}

#[tokio::test]
async fn the_quota_of_the_installation_holds_what_is_reserved_and_outlives_a_restart() {
    let home = Home::new();
    let store = with_functions(&home).await;
    assert_eq!(store.catalog().load().quota_mb, None);
    store.reserve(&key("one"), Some(900), Some(2000)).await.unwrap();
    let error = store.set_quota(998, Some(2000)).await.unwrap_err();
    assert!(matches!(error, Error::Quota(QuotaError::TooSmall { reserved_mb: 900, .. })), "{error}");
    let error = store.set_quota(2001, Some(2000)).await.unwrap_err();
    assert!(matches!(error, Error::Quota(QuotaError::TooLarge { quota_mb_max: 2000, .. })), "{error}");
    store.set_quota(1000, Some(2000)).await.unwrap();
    assert_eq!(store.catalog().load().quota_mb, Some(1000));
    drop(store);
    assert_eq!(home.open().await.catalog().load().quota_mb, Some(1000));
}
