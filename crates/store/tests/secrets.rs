//! Secrets: their versions, their users, and protection of used versions.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use store::{Change, Error, NewFunction, NewSecretVersion, SecretError, SecretLimits, Store};
use support::{Home, image, key, latest, new_function, version_key};
use types::{Namespace, SecretKey, SecretRecord, VersionSpec};

const LIMITS: SecretLimits = SecretLimits { secrets_max: 3, versions_max: 3, bytes_max: 1_000 };

fn secret(name: &str) -> SecretKey {
    SecretKey { namespace: Namespace::default_namespace(), name: name.parse().unwrap() }
}

async fn set_as(store: &Store, key: SecretKey, new: NewSecretVersion) -> Result<u32, Error> {
    store.set_secret(key, new, LIMITS, |number| format!("sealed {number}").into_bytes()).await
}

async fn set(store: &Store, name: &str) -> Result<u32, Error> {
    set_as(store, secret(name), NewSecretVersion { bytes: 10, is_text: true }).await
}

fn record(store: &Store, name: &str) -> Option<SecretRecord> {
    store.catalog().load().secrets.get(&secret(name)).map(|record| SecretRecord::clone(record))
}

fn numbers(store: &Store, name: &str) -> Vec<u32> {
    record(store, name).iter().flat_map(|record| &record.versions).map(|version| version.number).collect()
}

fn with(name: &str, value: &str) -> NewFunction {
    let new = new_function(name);
    let environment = vec![("A".to_owned(), value.to_owned())];
    NewFunction { spec: VersionSpec { environment, ..new.spec.clone() }, ..new }
}

async fn change(store: &Store, name: &str, value: &'static str) -> Result<(), Error> {
    let key = key(name);
    let changed = store.change_latest(&key, move |_, old| {
        let environment = vec![("A".to_owned(), value.to_owned())];
        let spec = VersionSpec { environment, ..old.desired.clone() };
        Ok::<_, ()>(Change { spec, resolve: false, publish: false })
    });
    changed.await.map(|changed| drop(changed.unwrap()))
}

async fn activate(store: &Store, name: &str) {
    assert!(store.mark_active(&version_key(&latest(store, name).await), image(1)).await.unwrap());
}

#[tokio::test]
async fn versions_are_numbered_once_and_outlive_a_restart() {
    let home = Home::new();
    let store = home.open().await;
    assert_eq!((set(&store, "db").await.unwrap(), set(&store, "db").await.unwrap()), (1, 2));
    store.delete_secret(secret("db"), Some(2)).await.unwrap();
    assert_eq!(set(&store, "db").await.unwrap(), 3, "no number is used twice");
    let before = record(&store, "db").unwrap();
    assert_eq!(before.version(None).unwrap().sealed.as_ref(), b"sealed 3");
    store.close().await;
    let store = home.open().await;
    assert_eq!(record(&store, "db").unwrap(), before);
    store.delete_secret(secret("db"), Some(1)).await.unwrap();
    store.delete_secret(secret("db"), Some(3)).await.unwrap();
    assert_eq!(record(&store, "db"), None, "it goes with its last version");
    assert!(matches!(store.delete_secret(secret("db"), None).await, Err(Error::Secret(SecretError::NotFound { .. }))));
}

#[tokio::test]
async fn a_function_names_only_secrets_that_are_there() {
    let home = Home::new();
    let store = home.open().await;
    let missing = store.create_function(with("web", "{{secret:db}}")).await.unwrap_err();
    assert!(matches!(missing, Error::Secret(SecretError::NotFound { .. })), "{missing}");
    set(&store, "db").await.unwrap();
    let missing = store.create_function(with("web", "x{{secret:db@2}}")).await.unwrap_err();
    assert!(matches!(missing, Error::Secret(SecretError::VersionNotFound { version: 2, .. })), "{missing}");
    store.create_function(with("web", "{{secret:db}}")).await.unwrap();
    activate(&store, "web").await;
    let missing = change(&store, "web", "{{secret:other}}").await.unwrap_err();
    assert!(missing.to_string().contains("sampan secret set"), "{missing}");
    // Secrets of another namespace are separate.
    let other: Namespace = "other".parse().unwrap();
    store.create_namespace(&other, "").await.unwrap();
    let new = with("web", "{{secret:db}}");
    let elsewhere = NewFunction { key: types::FunctionKey { namespace: other, ..new.key.clone() }, ..new };
    assert!(matches!(store.create_function(elsewhere).await, Err(Error::Secret(SecretError::NotFound { .. }))));
}

#[tokio::test]
async fn what_a_function_has_is_not_deleted_and_its_users_are_named() {
    let home = Home::new();
    let store = home.open().await;
    for _ in 0..2 {
        set(&store, "db").await.unwrap();
    }
    store.create_function(with("web", "{{secret:db}}")).await.unwrap();
    store.create_function(with("pinned", "{{secret:db@1}}")).await.unwrap();
    activate(&store, "pinned").await;
    let error = store.delete_secret(secret("db"), None).await.unwrap_err().to_string();
    assert!(error.contains("default/pinned:$LATEST, default/web:$LATEST"), "{error}");
    let error = store.delete_secret(secret("db"), Some(1)).await.unwrap_err().to_string();
    assert!(error.contains("default/pinned:$LATEST;"), "{error}");
    let error = store.delete_secret(secret("db"), Some(2)).await.unwrap_err().to_string();
    assert!(error.contains("default/web:$LATEST;"), "who follows has the newest: {error}");
    // The serving state counts too until the change is prepared.
    change(&store, "pinned", "none").await.unwrap();
    assert!(store.delete_secret(secret("db"), Some(1)).await.is_err());
    activate(&store, "pinned").await;
    store.delete_secret(secret("db"), Some(1)).await.unwrap();
    store.begin_delete(&key("web")).await.unwrap();
    store.delete_secret(secret("db"), None).await.unwrap();
}

#[tokio::test]
async fn at_the_limit_the_oldest_version_goes_that_nothing_is_pinned_to() {
    let home = Home::new();
    let store = home.open().await;
    set(&store, "db").await.unwrap();
    store.create_function(with("one", "{{secret:db@1}}")).await.unwrap();
    for _ in 0..3 {
        set(&store, "db").await.unwrap();
    }
    assert_eq!(numbers(&store, "db"), [1, 3, 4]);
    store.create_function(with("three", "{{secret:db@3}}")).await.unwrap();
    store.create_function(with("four", "{{secret:db@4}}")).await.unwrap();
    let full = set(&store, "db").await.unwrap_err();
    assert!(matches!(full, Error::Secret(SecretError::VersionsPinned { .. })), "{full}");
    for name in ["a", "b"] {
        set(&store, name).await.unwrap();
    }
    assert!(matches!(set(&store, "c").await, Err(Error::Secret(SecretError::TooMany { secrets_max: 3 }))));
    let large = NewSecretVersion { bytes: 960, is_text: true };
    let refused = set_as(&store, secret("a"), large).await.unwrap_err();
    assert!(refused.to_string().contains("[secrets] bytes_max"), "{refused}");
    assert_eq!(numbers(&store, "a"), [1], "nothing has changed");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_in_no_variable() {
    let home = Home::new();
    let store = home.open().await;
    let bytes = NewSecretVersion { bytes: 10, is_text: false };
    set_as(&store, secret("key"), bytes).await.unwrap();
    let refused = store.create_function(with("web", "{{secret:key}}")).await.unwrap_err();
    assert!(matches!(refused, Error::Secret(SecretError::NotText { .. })), "{refused}");
    set(&store, "key").await.unwrap();
    store.create_function(with("web", "{{secret:key}}")).await.unwrap();
    let refused = set_as(&store, secret("key"), bytes).await.unwrap_err().to_string();
    assert!(refused.contains("default/web:$LATEST has it in a variable"), "{refused}");
}

#[tokio::test]
async fn a_namespace_with_secrets_is_not_deleted() {
    let home = Home::new();
    let store = home.open().await;
    let namespace: Namespace = "other".parse().unwrap();
    let key = SecretKey { namespace: namespace.clone(), ..secret("db") };
    let new = NewSecretVersion { bytes: 1, is_text: true };
    assert!(matches!(set_as(&store, key.clone(), new).await, Err(Error::NamespaceNotFound { .. })));
    store.create_namespace(&namespace, "").await.unwrap();
    set_as(&store, key.clone(), new).await.unwrap();
    let refused = store.delete_namespace(&namespace).await.unwrap_err().to_string();
    assert!(refused.contains("delete the secrets in it (1)"), "{refused}");
    store.delete_secret(key, None).await.unwrap();
    store.delete_namespace(&namespace).await.unwrap();
}
