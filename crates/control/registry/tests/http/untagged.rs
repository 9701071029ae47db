//! Untagged manifests: listed, retained for a time, removed with the blobs that only they name.

use std::time::Duration;

use registry::{Config, Retention};
use serde_json::json;

use crate::server::{Server, code, digest_of, refused};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn retained(server: &Server) -> Vec<(String, Vec<String>, Retention)> {
    let images = server.registry.images().await.unwrap();
    let mut retained: Vec<_> =
        images.into_iter().map(|image| (image.digest.to_string(), image.tags, image.retention)).collect();
    retained.sort_by(|a, b| a.0.cmp(&b.0));
    retained
}

#[tokio::test]
async fn images_are_listed_with_tags_sizes_and_why_they_are_retained() {
    let server = Server::start().await;
    let (old, _) = server.push_image("a", "v1", "first").await;
    let (new, _) = server.push_image("a", "v1", "second").await;
    server.push_image("a", "latest", "second").await;
    let (deployed, _) = server.push_image("b/c", "v1", "deployed").await;
    server.images.content().pin("function/x", &deployed).await.unwrap();
    server.push_image("b/c", "v1", "next").await;
    let child = server.push_parts("d", "child").await;
    let digest = digest_of(child.to_string().as_bytes());
    assert_eq!(server.push_image("d", digest.as_str(), "child").await.0, digest);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [
        { "mediaType": child["mediaType"], "digest": digest.as_str(), "size": child.to_string().len() },
    ] });
    assert_eq!(server.put_manifest("d", "all", INDEX, &index).await.status(), 201);
    let listed = server.registry.images().await.unwrap();
    let find = |digest: &types::Digest| listed.iter().find(|image| image.digest == *digest).unwrap().clone();
    assert_eq!(
        (find(&new).tags, find(&new).retention),
        (vec!["latest".to_owned(), "v1".to_owned()], Retention::Tagged)
    );
    assert_eq!((find(&old).tags, find(&old).retention), (Vec::new(), Retention::Untagged));
    assert_eq!(find(&deployed).retention, Retention::Deployed);
    assert_eq!(find(&digest).retention, Retention::Named);
    assert!(find(&new).size_bytes > 8, "manifest, config and layer");
    assert_eq!(listed.len(), 6);
}

#[tokio::test]
async fn untagged_manifests_are_removed_with_the_blobs_only_they_name() {
    let server = Server::start().await;
    let (old, old_layer) = server.push_image("a", "v1", "first").await;
    let (new, new_layer) = server.push_image("a", "v1", "second").await;
    let before = retained(&server).await;
    let dry = server.registry.prune(Duration::ZERO, true).await.unwrap();
    // Both have the config "{}".
    assert_eq!((dry.images.len(), dry.images[0].digest.clone(), dry.freed_bytes), (1, old.clone(), 5));
    assert_eq!(retained(&server).await, before);
    let preview = server.images.prune_preview(Duration::ZERO, dry.released.clone()).await.unwrap();
    assert!(server.registry.prune(Duration::from_secs(3600), false).await.unwrap().images.is_empty());
    let pruned = server.registry.prune(Duration::ZERO, false).await.unwrap();
    assert_eq!((&pruned.images, pruned.freed_bytes), (&dry.images, dry.freed_bytes));
    let by_digest = server.get(&format!("/v2/a/manifests/{old}")).await;
    assert_eq!(refused(by_digest).await, code(404, "MANIFEST_UNKNOWN"));
    assert_eq!(server.head(&format!("/v2/a/blobs/{old_layer}")).await.status(), 404);
    let collected = server.images.prune(Duration::ZERO).await.unwrap();
    assert_eq!((preview, preview.blobs), (collected, 2), "the manifest and its layer; the config is shared");
    assert_eq!(server.images.content().size(&old_layer).await.unwrap(), None);
    assert_eq!(server.get(&format!("/v2/a/blobs/{new_layer}")).await.text().await.unwrap(), "second");
    assert_eq!(server.get(&format!("/v2/a/manifests/{new}")).await.status(), 200);
}

#[tokio::test]
async fn a_dry_run_counts_blobs_that_no_manifest_names() {
    let server = Server::start().await;
    server.push_image("a", "v1", "tagged").await;
    server.push_image("a", "v2", "replaced").await;
    server.push_image("a", "v2", "new").await;
    server.push_parts("b", "never named").await;
    let dry = server.registry.prune(Duration::ZERO, true).await.unwrap();
    let preview = server.images.prune_preview(Duration::ZERO, dry.released).await.unwrap();
    let pruned = server.registry.prune(Duration::ZERO, false).await.unwrap();
    let collected = server.images.prune(Duration::ZERO).await.unwrap();
    assert_eq!((pruned.images, preview), (dry.images, collected));
    assert_eq!(collected.blobs, 3, "a manifest with its layer, and a layer without a manifest");
}

#[tokio::test]
async fn a_sweep_removes_untagged_manifests_after_untagged_keep_s() {
    let server = Server::start().await;
    let (old, _) = server.push_image("a", "v1", "first").await;
    server.push_image("a", "v1", "second").await;
    let path = format!("/v2/a/manifests/{old}");
    server.registry.sweep().await;
    assert_eq!(server.get(&path).await.status(), 200, "it is kept for 30 days");
    let server = server.restart(Config { untagged_keep_s: 0, ..Config::default() }).await;
    server.registry.sweep().await;
    assert_eq!(server.get(&path).await.status(), 200, "it is kept for ever");
    let server = server.restart(Config { untagged_keep_s: 60, ..Config::default() }).await;
    let record = server.metadata().join("repositories/a/_manifests").join(old.hex());
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::open(&record).unwrap().set_modified(hour_ago).unwrap();
    server.registry.sweep().await;
    assert_eq!(server.get(&path).await.status(), 404);
}

#[tokio::test]
async fn damaged_content_is_uploaded_again_by_a_push() {
    let server = Server::start().await;
    let (digest, layer) = server.push_image("a", "v1", "layer").await;
    std::fs::write(server.blobs().join(layer.hex()), "lager").unwrap();
    assert_eq!(server.head(&format!("/v2/a/blobs/{layer}")).await.status(), 404);
    let manifest = server.push_parts("b", "other").await;
    std::fs::write(server.blobs().join(digest.hex()), "{}").unwrap();
    assert_eq!(server.head("/v2/a/manifests/v1").await.status(), 404);
    assert_eq!(server.push_image("a", "v1", "layer").await, (digest, layer.clone()));
    assert_eq!(server.get(&format!("/v2/a/blobs/{layer}")).await.text().await.unwrap(), "layer");
    assert_eq!(server.head("/v2/a/manifests/v1").await.status(), 200);
    // A client that skips the check gets an error for its manifest.
    std::fs::write(server.blobs().join(digest_of(b"other").hex()), "0ther").unwrap();
    let put = server.put_manifest("b", "v1", manifest["mediaType"].as_str().unwrap(), &manifest).await;
    assert_eq!(refused(put).await, code(404, "MANIFEST_BLOB_UNKNOWN"));
}
