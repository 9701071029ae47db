//! Publishing and deleting versions.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use store::{Change, Config, Error, Publication};
use support::{Home, active, entry, image, key, latest, new_function, reason, update, version_key};
use types::{FunctionKey, Qualifier, RouteBy, Status, VersionName, VersionRecord};

const ONE: VersionName = VersionName::Number(1);

async fn version(store: &store::Store, number: u32) -> Option<VersionRecord> {
    store.function(&key("hello")).await.unwrap().version(VersionName::Number(number)).cloned()
}

async fn publish(store: &store::Store) -> Result<VersionRecord, Error> {
    store.publish_version(&key("hello"), None).await
}

#[tokio::test]
async fn what_latest_serves_is_published_and_stays_as_it_is() {
    let home = Home::new();
    let store = home.open().await;
    let served = active(&store, "hello", image(1)).await.serving.unwrap();
    let made = store.publish_version(&key("hello"), Some("first".into())).await.unwrap();
    assert_eq!((made.version, made.status), (ONE, Status::Publishing));
    assert_eq!(version(&store, 1).await.unwrap(), made);
    assert_eq!(store.pending().await.unwrap(), [version_key(&made)]);
    // It is callable at once.
    let find = |qualifier: Qualifier| store.catalog().load().find(&key("hello"), &qualifier, RouteBy::MAIN);
    let called = find(Qualifier::Version(ONE)).unwrap();
    assert_eq!((called.image.clone(), called.spec.description.as_str()), (image(1), "first"));

    assert!(store.mark_active(&version_key(&made), image(1)).await.unwrap());
    let changed = update(&store, "hello", "localhost/hello:v2").await.unwrap();
    store.mark_active(&version_key(&changed), image(2)).await.unwrap();
    let one = version(&store, 1).await.unwrap();
    assert_eq!((one.status, one.serving.unwrap().image), (Status::Active, served.image));
    assert_eq!(one.desired.image, served.spec.image);
    assert_eq!(find(Qualifier::LATEST).unwrap().image, image(2));
    assert_eq!(find(Qualifier::Version(ONE)).unwrap().image, image(1));
    drop(store);
    let store = home.open().await;
    assert_eq!(entry(&store, "hello").unwrap().versions[&ONE].image, image(1));
}

#[tokio::test]
async fn only_an_active_function_is_published_and_the_error_says_what_to_do() {
    let home = Home::new();
    let store = home.open().await;
    store.create_function(new_function("hello")).await.unwrap();
    let refused = publish(&store).await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "$LATEST of function default/hello is Creating and cannot be published; wait until it is Active"
    );
    store.mark_failed(&version_key(&latest(&store, "hello").await), reason()).await.unwrap();
    let refused = publish(&store).await.unwrap_err().to_string();
    assert!(refused.contains("is CreateFailed") && refused.contains("mend what failed"), "{refused}");
    store.begin_delete(&key("hello")).await.unwrap();
    assert!(matches!(publish(&store).await.unwrap_err(), Error::NotPublishable { status: Status::Deleting, .. }));
    let nobody: FunctionKey = key("nobody");
    assert!(matches!(store.publish_version(&nobody, None).await.unwrap_err(), Error::FunctionNotFound { .. }));
}

#[tokio::test]
async fn a_number_of_ones_own_is_above_all_others_and_never_taken_twice() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let own = async |number: u32| {
        store.publish_as(&key("hello"), Publication { number: Some(number), ..Publication::default() }).await
    };
    assert_eq!(own(3).await.unwrap().version, VersionName::Number(3));
    for taken in [1, 3] {
        let refused = own(taken).await.unwrap_err();
        assert!(matches!(refused, Error::VersionNumberTaken { next: 4, .. }), "{refused}");
    }
    store.delete_version(&key("hello"), 3).await.unwrap();
    assert!(own(3).await.is_err(), "it was published already");
    assert_eq!(own(4).await.unwrap().version, VersionName::Number(4));
    assert_eq!(publish(&store).await.unwrap().version, VersionName::Number(5));
}

#[tokio::test]
async fn of_two_that_publish_the_same_revision_one_does() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let seen = async || store.function(&key("hello")).await.unwrap().revision();
    let publish_seen = async |revision: String| {
        store.publish_as(&key("hello"), Publication { revision: Some(revision), ..Publication::default() }).await
    };
    let first = seen().await;
    publish_seen(first.clone()).await.unwrap();
    let refused = publish_seen(first).await.unwrap_err();
    assert!(matches!(refused, Error::RevisionChanged { .. }), "{refused}");
    let second = seen().await;
    let changed = update(&store, "hello", "localhost/hello:v2").await.unwrap();
    store.mark_active(&version_key(&changed), image(2)).await.unwrap();
    assert!(publish_seen(second).await.is_err(), "$LATEST is another by now");
    assert_eq!(publish_seen(seen().await).await.unwrap().version, VersionName::Number(2));
}

#[tokio::test]
async fn numbers_are_not_used_again_and_their_count_has_a_limit() {
    let home = Home::with(Config { versions_per_function_max: 2, ..Config::default() });
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    for number in [1, 2] {
        assert_eq!(publish(&store).await.unwrap().version, VersionName::Number(number));
    }
    let refused = publish(&store).await.unwrap_err();
    assert!(refused.to_string().contains("versions_per_function_max"), "{refused}");
    store.delete_version(&key("hello"), 2).await.unwrap();
    drop(store);
    let store = home.open().await;
    assert_eq!(publish(&store).await.unwrap().version, VersionName::Number(3));
    assert_eq!(version(&store, 2).await, None);
}

#[tokio::test]
async fn a_deleted_version_is_gone_with_its_preparation() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let made = publish(&store).await.unwrap();
    store.delete_version(&key("hello"), 1).await.unwrap();
    assert!(store.pending().await.unwrap().is_empty());
    assert!(!store.mark_active(&version_key(&made), image(1)).await.unwrap());
    assert!(!entry(&store, "hello").unwrap().versions.contains_key(&ONE));
    let again = store.delete_version(&key("hello"), 1).await.unwrap_err();
    assert_eq!(again.to_string(), "function default/hello has no version 1");
}

#[tokio::test]
async fn a_failed_publication_serves_nothing_and_can_be_deleted() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let made = publish(&store).await.unwrap();
    assert!(store.mark_failed(&version_key(&made), reason()).await.unwrap());
    assert_eq!(version(&store, 1).await.unwrap().status, Status::PublishFailed);
    assert!(!entry(&store, "hello").unwrap().versions.contains_key(&ONE));
    store.delete_version(&key("hello"), 1).await.unwrap();
}

#[tokio::test]
async fn a_change_can_be_published_as_soon_as_it_is_active() {
    let home = Home::with(Config { versions_per_function_max: 1, ..Config::default() });
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    let change = async |publish: bool| {
        let edit = move |_: &types::FunctionRecord, old: &VersionRecord| {
            Ok::<_, ()>(Change { spec: old.desired.clone(), resolve: false, publish })
        };
        store.change_latest(&key("hello"), edit).await.map(Result::unwrap)
    };
    // A failed change publishes nothing, nor does the change that repairs it.
    let failing = change(true).await.unwrap();
    store.mark_failed(&version_key(&failing), reason()).await.unwrap();
    let mending = change(false).await.unwrap();
    store.mark_active(&version_key(&mending), image(1)).await.unwrap();
    assert_eq!(version(&store, 1).await, None);

    let changed = change(true).await.unwrap();
    assert_eq!(version(&store, 1).await, None);
    store.mark_active(&version_key(&changed), image(1)).await.unwrap();
    assert_eq!(version(&store, 1).await.unwrap().status, Status::Publishing);
    assert!(matches!(change(true).await.unwrap_err(), Error::TooManyVersions { versions_max: 1, .. }));
}

#[tokio::test]
async fn a_deleted_function_takes_its_versions_along() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    publish(&store).await.unwrap();
    let id = store.begin_delete(&key("hello")).await.unwrap();
    assert_eq!(version(&store, 1).await.unwrap().status, Status::Deleting);
    let refused = store.delete_version(&key("hello"), 1).await.unwrap_err();
    assert!(matches!(refused, Error::WrongStatus { status: Status::Deleting, .. }), "{refused}");
    store.finish_delete(&id).await.unwrap();
    active(&store, "hello", image(1)).await;
    assert_eq!(publish(&store).await.unwrap().version, ONE, "another function of that name counts from the beginning");
}
