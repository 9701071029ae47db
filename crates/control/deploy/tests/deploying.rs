//! Deploying through the public handle, with a real store and a fake image store.
// A failed `unwrap` is a failed test; not every test file uses all shared items.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use store::NewAlias;
use support::{Platform, digest_of, key, until};
use types::{Route, Status, VersionName};

#[tokio::test]
async fn a_new_function_becomes_active_with_its_digest_pinned() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    let version = platform.until_status("hello", Status::Active).await;
    let serving = version.serving.clone().unwrap();
    assert_eq!((serving.image.digest, serving.image.size_bytes), (digest_of("v1"), 7));
    platform.until_pinned(&[(&version, 1)]).await;
    assert_eq!(platform.images.requests(), ["localhost/hello:v1"]);
}

#[tokio::test]
async fn a_failed_preparation_gives_its_reason() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/absent:v1").await;
    let version = platform.until_status("hello", Status::CreateFailed).await;
    assert_eq!(version.reasons[0].error_code, "ImageNotFound");
    assert_eq!(version.reasons[0].error_message, "Indexing the image failed: no such tag");
    // Another image fixes it.
    platform.update("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
}

#[tokio::test]
async fn a_failed_update_leaves_what_is_served_pinned() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.update("hello", "localhost/empty:v22").await;
    let version = platform.until_status("hello", Status::UpdateFailed).await;
    assert_eq!(version.serving.as_ref().unwrap().generation, 1);
    assert_eq!(version.reasons[0].error_code, "ImageInvalid");
    assert!(version.reasons[0].error_message.contains("set Command in ImageConfig"), "{:?}", version.reasons);
    platform.until_pinned(&[(&version, 1)]).await;
}

#[tokio::test]
async fn an_update_releases_the_image_before() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.update("hello", "localhost/hello:v22").await;
    let version = platform.until_status("hello", Status::Active).await;
    assert_eq!(version.serving.as_ref().unwrap().image.digest, digest_of("v22"));
    platform.until_pinned(&[(&version, 2)]).await;
}

#[tokio::test]
async fn a_configuration_change_does_not_resolve_the_tag_again() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.resize("hello").await;
    let version = platform.until_status("hello", Status::Active).await;
    let serving = version.serving.as_ref().unwrap();
    assert_eq!((serving.generation, serving.spec.memory_mb, &serving.image.digest), (2, 256, &digest_of("v1")));
    let pinned = format!("localhost/hello:v1@{}", digest_of("v1"));
    assert_eq!(platform.images.requests(), ["localhost/hello:v1", &pinned]);
    platform.until_pinned(&[(&version, 2)]).await;
}

#[tokio::test]
async fn a_deletion_cancels_the_preparation_and_releases_everything() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.images.close();
    platform.update("hello", "localhost/hello:v2").await;
    until("the preparation runs", async || platform.images.running() == 1).await;
    platform.store.begin_delete(&key("hello")).await.unwrap();
    until("the function is gone", async || platform.store.function(&key("hello")).await.is_err()).await;
    assert_eq!((platform.images.running(), platform.images.pinned().len()), (0, 0));
    // Its name can be used again.
    platform.images.open();
    platform.create("hello", "localhost/hello:v3").await;
    let version = platform.until_status("hello", Status::Active).await;
    platform.until_pinned(&[(&version, 1)]).await;
}

#[tokio::test]
async fn a_replaced_function_that_is_being_prepared_makes_way() {
    let platform = Platform::started().await;
    platform.images.close();
    platform.create("hello", "localhost/old:v1").await;
    until("the preparation runs", async || platform.images.running() == 1).await;
    let old = platform.store.function(&key("hello")).await.unwrap();
    let new = store::NewFunction {
        key: key("hello"),
        kind: old.record.kind,
        protocol: None,
        async_run: false,
        trace: false,
        tags: Vec::new(),
        spec: old.latest().desired.clone(),
    };
    platform.store.replace_function(new).await.unwrap();
    until("the old one is gone", async || platform.store.deleting().await.unwrap().is_empty()).await;
    platform.images.open();
    let version = platform.until_status("hello", Status::Active).await;
    assert_ne!(version.function_id, old.record.id);
    platform.until_pinned(&[(&version, 1)]).await;
}

#[tokio::test]
async fn no_more_are_prepared_at_once_than_the_limit_says() {
    let platform = Platform::started().await;
    platform.images.close();
    for n in 0..6 {
        platform.create(&format!("hello{n}"), "localhost/hello:v1").await;
    }
    until("two preparations run", async || platform.images.running() == 2).await;
    platform.images.open();
    for n in 0..6 {
        platform.until_status(&format!("hello{n}"), Status::Active).await;
    }
    assert_eq!((platform.images.running_max(), platform.images.requests().len()), (2, 6));
}

#[tokio::test]
async fn a_shutdown_ends_preparations_and_the_next_start_resumes_them() {
    let mut platform = Platform::started().await;
    platform.images.close();
    platform.create("hello", "localhost/hello:v1").await;
    until("the preparation runs", async || platform.images.running() == 1).await;
    platform.stop().await;
    assert_eq!(platform.images.running(), 0);
    assert_eq!(platform.latest("hello").await.status, Status::Creating);
    platform.images.open();
    platform.start();
    platform.until_status("hello", Status::Active).await;
    assert_eq!(platform.images.requests().len(), 2);
}

#[tokio::test]
async fn a_start_does_what_a_crash_left_to_do() {
    let mut platform = Platform::new().await;
    platform.create("creating", "localhost/hello:v1").await;
    platform.create("deleting", "localhost/hello:v1").await;
    let deleting = platform.latest("deleting").await;
    platform.store.begin_delete(&key("deleting")).await.unwrap();
    // Pins of a prepared version whose outcome was not recorded, of a generation that no longer
    // serves, and of another owner.
    let creating = platform.latest("creating").await;
    let owner = |id: &types::FunctionId, generation| format!("function/{id}/{}/{generation}", VersionName::Latest);
    platform.images.pin(&owner(&creating.function_id, 1));
    platform.images.pin(&owner(&deleting.function_id, 1));
    let unknown = owner(&types::FunctionId::random(), 3);
    platform.images.pin(&owner(&creating.function_id, 7));
    platform.images.pin(&unknown);
    platform.images.pin("registry/hello:v1");
    platform.start_keeping();
    platform.until_status("creating", Status::Active).await;
    until("the deletion is done", async || platform.store.deleting().await.unwrap().is_empty()).await;
    // The right database may name what this one does not.
    let stale = owner(&creating.function_id, 7);
    let mut kept = [owner(&creating.function_id, 1), stale, unknown, "registry/hello:v1".to_owned()];
    kept.sort();
    let mut pinned = platform.images.pinned();
    pinned.sort();
    assert_eq!(pinned, kept);
}

#[tokio::test]
async fn a_deletion_is_not_done_before_everything_is_released() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.images.refuse_unpins(3);
    platform.store.begin_delete(&key("hello")).await.unwrap();
    until("the function is gone", async || platform.store.function(&key("hello")).await.is_err()).await;
    assert!(platform.images.pinned().is_empty());
}

#[tokio::test]
async fn a_panic_fails_the_version_and_nothing_else() {
    let platform = Platform::started().await;
    platform.create("bad", "localhost/panics:v1").await;
    platform.create("good", "localhost/hello:v1").await;
    let version = platform.until_status("bad", Status::CreateFailed).await;
    assert_eq!(version.reasons[0].error_code, "InternalError");
    platform.until_status("good", Status::Active).await;
}

#[tokio::test]
async fn progress_can_be_read_while_it_is_prepared() {
    let platform = Platform::started().await;
    platform.images.close();
    platform.create("hello", "localhost/hello:v1").await;
    let id = platform.latest("hello").await.function_id;
    let progress = || platform.store.progress(&id, VersionName::Latest);
    until("progress is there", async || progress().is_some()).await;
    assert_eq!(progress().as_deref(), Some("Indexing the image: 1 of 2 layers"));
    platform.images.open();
    platform.until_status("hello", Status::Active).await;
    assert_eq!(progress(), None);
}

#[tokio::test]
async fn a_published_version_keeps_its_image_while_latest_moves_on() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.store.publish_version(&key("hello"), None).await.unwrap();
    let one = platform.until_published("hello", 1, Status::Active).await;
    platform.update("hello", "localhost/hello:v22").await;
    let latest = platform.until_status("hello", Status::Active).await;
    assert_eq!(one.serving.as_ref().unwrap().image.digest, digest_of("v1"));
    platform.until_pinned(&[(&latest, 2), (&one, 1)]).await;
    // The image was present: it is requested by digest, and no tag is resolved again.
    assert_eq!(platform.images.requests()[1], format!("localhost/hello:v1@{}", digest_of("v1")));

    platform.store.delete_version(&key("hello"), 1).await.unwrap();
    platform.until_pinned(&[(&latest, 2)]).await;
}

#[tokio::test]
async fn a_publication_that_a_crash_cut_short_is_finished_with_its_image() {
    let mut platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.images.close();
    platform.store.publish_version(&key("hello"), None).await.unwrap();
    platform.update("hello", "localhost/hello:v22").await;
    until("both preparations run", async || platform.images.running() == 2).await;
    platform.stop().await;
    // `$LATEST` is completed first, so that only the published version still uses the image.
    let latest = platform.latest("hello").await;
    let done = types::PinnedImage { digest: digest_of("v22"), size_bytes: 7 };
    assert!(platform.store.mark_active(&support::version_key(&latest), done).await.unwrap());
    platform.start();
    until("the publication runs", async || platform.images.running() == 1).await;
    let owner = |version: VersionName, generation| format!("function/{}/{version}/{generation}", latest.function_id);
    assert!(platform.images.pinned().contains(&owner(VersionName::Latest, 1)), "the image that is published stays");
    platform.images.open();
    let one = platform.until_published("hello", 1, Status::Active).await;
    platform.until_pinned(&[(&latest, 2), (&one, 1)]).await;
}

#[tokio::test]
async fn a_publication_whose_image_cannot_be_kept_fails_and_serves_nothing() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.images.refuse_preparations(1);
    platform.store.publish_version(&key("hello"), None).await.unwrap();
    let one = platform.until_published("hello", 1, Status::PublishFailed).await;
    assert_eq!((one.serving, one.reasons[0].error_code.as_str()), (None, "DiskFull"));
    assert_eq!(platform.latest("hello").await.status, Status::Active);
}

#[tokio::test]
async fn a_start_pins_again_what_active_versions_serve() {
    let mut platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    let version = platform.until_status("hello", Status::Active).await;
    platform.stop().await;
    platform.images.lose_pins();
    platform.start();
    platform.until_pinned(&[(&version, 1)]).await;
    assert_eq!(platform.images.requests().len(), 1, "it is there, and nothing is prepared");
}

#[tokio::test]
async fn a_damaged_image_is_prepared_again_by_its_digest_and_what_is_served_stays() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    let version = platform.until_status("hello", Status::Active).await;
    platform.images.damage(digest_of("v1"));
    until("it is prepared again", async || platform.images.requests().len() == 2).await;
    assert_eq!(platform.images.requests()[1], format!("localhost/hello:v1@{}", digest_of("v1")));
    platform.until_pinned(&[(&version, 1)]).await;
    let after = platform.latest("hello").await;
    assert_eq!((after.status, after.generation), (Status::Active, 1));
}

async fn create_alias(platform: &Platform, function: &str, name: &str) {
    let route = Route::to(VersionName::Latest);
    let alias = NewAlias { key: key(function), name: name.to_owned(), route, description: String::new() };
    platform.store.create_alias(alias).await.unwrap();
}

/// Number of listings of pins for a new alias on a platform with `functions` functions; each lists
/// only the alias's function.
async fn listed_for_an_alias(functions: usize) -> usize {
    let mut platform = Platform::started().await;
    let names: Vec<_> = (0..functions).map(|number| format!("function-{number}")).collect();
    for name in &names {
        platform.create(name, "localhost/hello:v1").await;
    }
    for name in &names {
        platform.until_status(name, Status::Active).await;
    }
    // The first pass covers all functions; after it nothing remains to do.
    platform.stop().await;
    platform.images.take_listed();
    platform.start();
    until("everything was looked at", async || platform.images.take_listed() == ["function/"]).await;
    create_alias(&platform, "function-0", "prod").await;
    let mut listed = Vec::new();
    let seen = async || {
        listed.extend(platform.images.take_listed());
        !listed.is_empty()
    };
    until("the function was looked at", seen).await;
    let owners = format!("function/{}/", platform.latest("function-0").await.function_id);
    assert!(listed.iter().all(|prefix| *prefix == owners), "{listed:?}");
    listed.len()
}

#[tokio::test]
async fn a_write_looks_at_the_images_of_its_function_however_many_there_are() {
    assert_eq!((listed_for_an_alias(2).await, listed_for_an_alias(40).await), (1, 1));
}
