//! The states of a version, as visible to the API and the deployer.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use store::{Change, Error};
use support::{Home, active, entry, image, key, latest, new_function, reason, resize, served, update, version_key};
use types::catalog::Lookup;
use types::{Qualifier, Route, RouteBy, Status, VersionName};

#[tokio::test]
async fn a_new_function_is_creating_until_its_image_is_prepared() {
    let home = Home::new();
    let store = home.open().await;
    let made = store.create_function(new_function("hello")).await.unwrap();
    let found = store.function(&key("hello")).await.unwrap();
    assert_eq!(found.record, made);
    let version = found.latest();
    assert_eq!((version.status, version.generation, version.resolve), (Status::Creating, 1, true));
    assert_eq!(version.desired, new_function("hello").spec);
    let aliases: Vec<_> = found.aliases.values().map(|alias| (alias.name.as_str(), alias.route.clone())).collect();
    assert_eq!(aliases, [("$DEFAULT", Route::to(VersionName::Latest))]);
    let lookup = store.catalog().load().find(&key("hello"), &Qualifier::LATEST, RouteBy::MAIN).unwrap_err();
    assert_eq!(lookup, Lookup::NotCallable(key("hello"), Status::Creating));

    assert!(store.mark_active(&version_key(version), image(1)).await.unwrap());
    let version = latest(&store, "hello").await;
    assert_eq!((version.status, version.resolve), (Status::Active, false));
    assert_eq!(version.serving.unwrap().image, image(1));
    assert_eq!(served(&store, "hello"), Some((1, image(1))));
    let by_alias = Qualifier::Alias("$DEFAULT".into());
    assert!(store.catalog().load().find(&key("hello"), &by_alias, RouteBy::MAIN).is_ok());
}

#[tokio::test]
async fn what_is_served_stays_while_a_change_is_prepared_and_after_it_failed() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let changed = update(&store, "hello", "localhost/hello:v2").await.unwrap();
    assert_eq!((changed.status, changed.generation, changed.resolve), (Status::Updating, 2, true));
    assert_eq!(served(&store, "hello"), Some((1, image(1))));
    assert!(store.mark_failed(&version_key(&changed), reason()).await.unwrap());
    let failed = latest(&store, "hello").await;
    assert_eq!((failed.status, failed.reasons.as_slice()), (Status::UpdateFailed, &[reason()][..]));
    assert_eq!(served(&store, "hello"), Some((1, image(1))));
    assert_eq!(entry(&store, "hello").unwrap().status, Status::UpdateFailed);

    let again = update(&store, "hello", "localhost/hello:v3").await.unwrap();
    assert_eq!((again.status, again.generation, again.reasons.len()), (Status::Updating, 3, 0));
    assert!(store.mark_active(&version_key(&again), image(3)).await.unwrap());
    assert_eq!(served(&store, "hello"), Some((3, image(3))));
    let version = entry(&store, "hello").unwrap().versions[&VersionName::Latest].clone();
    assert_eq!(version.spec.image.uri, "localhost/hello:v3");
}

#[tokio::test]
async fn a_function_that_never_served_fails_and_is_created_again() {
    let home = Home::new();
    let store = home.open().await;
    store.create_function(new_function("hello")).await.unwrap();
    let first = version_key(&latest(&store, "hello").await);
    assert!(store.mark_failed(&first, reason()).await.unwrap());
    assert_eq!(latest(&store, "hello").await.status, Status::CreateFailed);
    assert!(store.pending().await.unwrap().is_empty());
    let changed = update(&store, "hello", "localhost/hello:v2").await.unwrap();
    assert_eq!(changed.status, Status::Creating);
    assert_eq!(served(&store, "hello"), None);
}

#[tokio::test]
async fn a_configuration_change_keeps_the_digest_unless_the_image_was_never_resolved() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let resized = resize(&store, "hello", 256).await.unwrap();
    assert!(!resized.resolve);
    assert!(store.mark_active(&version_key(&resized), image(1)).await.unwrap());
    assert_eq!(entry(&store, "hello").unwrap().versions[&VersionName::Latest].spec.memory_mb, 256);

    let failing = update(&store, "hello", "localhost/hello:none").await.unwrap();
    store.mark_failed(&version_key(&failing), reason()).await.unwrap();
    assert!(resize(&store, "hello", 512).await.unwrap().resolve);
}

#[tokio::test]
async fn a_version_that_is_being_prepared_takes_no_change() {
    let home = Home::new();
    let store = home.open().await;
    store.create_function(new_function("hello")).await.unwrap();
    let refused = update(&store, "hello", "localhost/hello:v2").await.unwrap_err();
    assert!(matches!(refused, Error::WrongStatus { status: Status::Creating, .. }), "{refused}");
    // A wrong value is reported even if the status currently refuses the change.
    let wrong = store.change_latest(&key("hello"), |_, _| Err::<Change, _>("no")).await.unwrap();
    assert_eq!(wrong.unwrap_err(), "no");
    store.mark_active(&version_key(&latest(&store, "hello").await), image(1)).await.unwrap();
    update(&store, "hello", "localhost/hello:v2").await.unwrap();
    let refused = update(&store, "hello", "localhost/hello:v3").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "function default/hello is Updating and cannot be changed now; wait until it is Active or has failed"
    );
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let home = Home::new();
    let store = home.open().await;
    let before = active(&store, "hello", image(1)).await;
    let revision = store.catalog().load().revision;
    let refused = store.change_latest(&key("hello"), |_, _| Err::<Change, _>("no")).await.unwrap();
    assert_eq!(refused, Err("no"));
    assert_eq!((latest(&store, "hello").await, store.catalog().load().revision), (before, revision));
}

#[tokio::test]
async fn of_changes_at_once_each_sees_the_one_before() {
    let home = Home::new();
    let store = home.open().await;
    store.create_function(new_function("hello")).await.unwrap();
    let first = version_key(&latest(&store, "hello").await);
    store.mark_failed(&first, reason()).await.unwrap();
    let append = |n: u32| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = key("hello");
            loop {
                let changed = store.change_latest(&key, move |_, old| {
                    let mut spec = old.desired.clone();
                    spec.description.push_str(&format!("{n},"));
                    Ok::<_, ()>(Change { spec, resolve: false, publish: false })
                });
                match changed.await {
                    Ok(changed) => break store.mark_failed(&version_key(&changed.unwrap()), reason()).await.unwrap(),
                    Err(Error::WrongStatus { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    };
    for task in (0..20).map(append).collect::<Vec<_>>() {
        assert!(task.await.unwrap());
    }
    let version = latest(&store, "hello").await;
    let mut seen: Vec<u32> = version.desired.description.split_terminator(',').map(|n| n.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!((seen, version.generation), ((0..20).collect(), 21));
}

#[tokio::test]
async fn the_end_of_an_older_preparation_is_ignored() {
    let home = Home::new();
    let store = home.open().await;
    let first = version_key(&active(&store, "hello", image(1)).await);
    assert!(!store.mark_active(&first, image(9)).await.unwrap());
    let second = version_key(&update(&store, "hello", "localhost/hello:v2").await.unwrap());
    assert!(!store.mark_active(&first, image(9)).await.unwrap());
    assert!(!store.mark_failed(&first, reason()).await.unwrap());
    assert_eq!(store.pending_version(&first).await.unwrap(), None);
    assert_eq!(store.pending().await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(store.pending_version(&second).await.unwrap().unwrap().version, latest(&store, "hello").await);
    store.begin_delete(&key("hello")).await.unwrap();
    assert!(!store.mark_active(&second, image(9)).await.unwrap());
}

#[tokio::test]
async fn progress_is_known_while_a_preparation_is_awaited() {
    let home = Home::new();
    let store = home.open().await;
    store.create_function(new_function("hello")).await.unwrap();
    let awaited = version_key(&latest(&store, "hello").await);
    let progress = |store: &store::Store| store.progress(&awaited.function_id, VersionName::Latest);
    store.set_progress(&awaited, "half way");
    assert_eq!(progress(&store).as_deref(), Some("half way"));
    drop(store);
    let store = home.open().await;
    assert_eq!(progress(&store), None);
    store.set_progress(&awaited, "once more");
    assert_eq!(progress(&store).as_deref(), Some("once more"));
    store.mark_active(&awaited, image(1)).await.unwrap();
    store.set_progress(&awaited, "late");
    assert_eq!(progress(&store), None);
}
