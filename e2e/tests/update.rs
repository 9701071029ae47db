//! An image update under load without a failed request.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use e2e::{Platform, images, wait};
use serde_json::json;

/// Keep-alive clients of the load.
const CLIENTS: usize = 8;
/// Fewest calls before and after the update.
const CALLS_MIN: usize = 200;

async fn push_marked(platform: &Platform, mark: &str) -> anyhow::Result<()> {
    let folder = images::hello_folder()?;
    folder.write("mark", mark.as_bytes())?;
    platform.push_folder(folder.path(), &["/hello"], &format!("marked:{mark}")).await
}

#[tokio::test]
async fn an_update_to_a_new_image_under_load_fails_no_request() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    push_marked(&platform, "one").await?;
    push_marked(&platform, "two").await?;
    platform.deploy("web", "marked:one", &["--concurrency", "4", "--timeout", "30"]).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let seen: Arc<[AtomicUsize; 2]> = Arc::default();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (http, url) = (platform.http.clone(), platform.url("web", "/read?/mark"));
            let (stop, seen) = (stop.clone(), seen.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = http.get(&url).send().await?;
                    let (status, text) = (answer.status(), answer.text().await?);
                    match text.as_str() {
                        "one" => seen[0].fetch_add(1, Ordering::Relaxed),
                        "two" => seen[1].fetch_add(1, Ordering::Relaxed),
                        other => anyhow::bail!("a request failed with {status}: {other}"),
                    };
                }
                anyhow::Ok(())
            })
        })
        .collect();
    let count = |side: usize| seen[side].load(Ordering::Relaxed);
    wait::until("calls of the first image", || async { Ok((count(0) > CALLS_MIN).then_some(())) }).await?;
    let code =
        json!({"ImageConfig": {"ImageType": "personal", "ImageUri": format!("{}/marked:two", platform.registry())}});
    platform.api.call("UpdateFunctionCode", json!({"FunctionName": "web", "Code": code})).await?;
    wait::until("calls of the second image", || async { Ok((count(1) > CALLS_MIN).then_some(())) }).await?;
    let first_side = count(0);
    wait::until("more calls of the second image", || async { Ok((count(1) > 2 * CALLS_MIN).then_some(())) }).await?;
    assert!(count(0) <= first_side + CLIENTS, "the old image is still called after the update");
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await??;
    }
    platform.stop().await
}

#[tokio::test]
async fn a_tag_pushed_again_changes_nothing_until_the_code_is_updated() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let push = async |mark: &str| {
        let folder = images::hello_folder()?;
        folder.write("mark", mark.as_bytes())?;
        platform.push_folder(folder.path(), &["/hello"], "moving:latest").await
    };
    let read = async || platform.get("web", "/read?/mark").await?.text().await.map_err(anyhow::Error::from);
    push("one").await?;
    platform.deploy("web", "moving:latest", &[]).await?;
    assert_eq!(read().await?, "one");
    push("two").await?;
    // A change of configuration starts new instances of the pinned image.
    platform.api.call("UpdateFunctionConfiguration", json!({"FunctionName": "web", "Timeout": 9})).await?;
    platform.api.wait_status("web", &["Active"]).await?;
    assert_eq!(read().await?, "one");
    platform.deploy("web", "moving:latest", &[]).await?;
    assert_eq!(read().await?, "two");
    platform.stop().await
}

#[tokio::test]
async fn a_failed_update_keeps_serving_the_previous_version() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    push_marked(&platform, "one").await?;
    platform.deploy("web", "marked:one", &[]).await?;
    let code =
        json!({"ImageConfig": {"ImageType": "personal", "ImageUri": format!("{}/marked:none", platform.registry())}});
    platform.api.call("UpdateFunctionCode", json!({"FunctionName": "web", "Code": code})).await?;
    wait::until("the update fails", || async {
        let found = platform.api.call("GetFunction", json!({"FunctionName": "web"})).await?;
        Ok((found["Status"] == "UpdateFailed").then_some(()))
    })
    .await?;
    assert_eq!(platform.get("web", "/read?/mark").await?.text().await?, "one");
    platform.stop().await
}
