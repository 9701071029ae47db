//! Versions that serve only after an instance of them has started.
// A failed `unwrap` is a failed test; not every test file uses all shared items.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use support::{Platform, digest_of, key, until};
use types::Status;

#[tokio::test]
async fn a_version_is_served_once_an_instance_of_it_has_started() {
    let platform = Platform::started().await;
    platform.starts.close();
    platform.create("hello", "localhost/hello:v1").await;
    until("the start is checked", async || platform.starts.running() == 1).await;
    let version = platform.latest("hello").await;
    assert_eq!((version.status, version.serving), (Status::Creating, None));
    let progress = platform.store.progress(&version.function_id, version.version);
    assert_eq!(progress.as_deref(), Some("Starting an instance to see that it listens"));
    platform.starts.open();
    let version = platform.until_status("hello", Status::Active).await;
    assert_eq!(platform.starts.checked(), [1]);
    until("the instance is let go of", async || platform.starts.held() == 0).await;
    platform.until_pinned(&[(&version, 1)]).await;
}

#[tokio::test]
async fn what_does_not_start_never_takes_over() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.update("hello", "localhost/crashes:v22").await;
    let version = platform.until_status("hello", Status::UpdateFailed).await;
    let serving = version.serving.as_ref().unwrap();
    assert_eq!((serving.generation, &serving.image.digest), (1, &digest_of("v1")));
    assert_eq!(version.reasons[0].error_code, "ContainerStateExited");
    let message = "The instance did not start: exited with code 1. Its last output:\nno module";
    assert_eq!(version.reasons[0].error_message, message);
    platform.until_pinned(&[(&version, 1)]).await;
    // The last deployment does not serve, so a change of its configuration is checked too.
    platform.resize("hello").await;
    until("it is checked again", async || platform.starts.checked() == [1, 2, 3]).await;
    platform.until_status("hello", Status::UpdateFailed).await;
    platform.create("new", "localhost/crashes:v1").await;
    platform.until_status("new", Status::CreateFailed).await;
}

#[tokio::test]
async fn without_room_a_version_goes_live_unchecked() {
    let platform = Platform::started().await;
    platform.create("hello", "localhost/crowded:v1").await;
    platform.until_status("hello", Status::Active).await;
}

#[tokio::test]
async fn a_publication_is_not_checked_and_neither_is_a_start_of_the_platform() {
    let mut platform = Platform::started().await;
    platform.create("hello", "localhost/hello:v1").await;
    platform.until_status("hello", Status::Active).await;
    platform.store.publish_version(&key("hello"), None).await.unwrap();
    platform.until_published("hello", 1, Status::Active).await;
    platform.stop().await;
    platform.start();
    platform.create("other", "localhost/other:v1").await;
    platform.until_status("other", Status::Active).await;
    assert_eq!(platform.starts.checked(), [1, 1], "one of each function");
}

#[tokio::test]
async fn a_check_that_a_stop_cut_short_is_made_by_the_next_start() {
    let mut platform = Platform::started().await;
    platform.create("hello", "localhost/stopping:v1").await;
    until("the start is checked", async || platform.starts.checked().len() == 1).await;
    platform.stop().await;
    assert_eq!(platform.latest("hello").await.status, Status::Creating);
    platform.starts.close();
    platform.start();
    until("it is checked again", async || platform.starts.checked().len() == 2).await;
    platform.stop().await;
    assert_eq!((platform.latest("hello").await.status, platform.starts.running()), (Status::Creating, 0));
}

#[tokio::test]
async fn servers_that_never_listen_hold_up_no_other_image() {
    let platform = Platform::started().await;
    platform.starts.close();
    for name in ["one", "two", "three"] {
        platform.create(name, "localhost/hello:v1").await;
    }
    until("more starts are checked than images are prepared at once", async || platform.starts.running() == 3).await;
    // A version beyond the limit of concurrent checks goes live unchecked after a short wait.
    platform.create("four", "localhost/hello:v1").await;
    platform.until_status("four", Status::Active).await;
    assert_eq!(platform.starts.running(), 3);
    platform.store.begin_delete(&key("two")).await.unwrap();
    until("a deletion ends one", async || platform.starts.running() == 2).await;
    platform.starts.open();
    platform.until_status("three", Status::Active).await;
}
