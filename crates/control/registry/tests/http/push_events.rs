//! Notifications of pushed content.

use reqwest::Method;

use crate::server::{OCI_INDEX, OCI_MANIFEST, Server, digest_of, no_such_digest};

#[tokio::test]
async fn blobs_are_notified_before_their_manifest() {
    let server = Server::start().await;
    let (manifest, layer) = server.push_image("a", "v1", "layer").await;
    let manifest = (manifest, Some(OCI_MANIFEST.to_owned()));
    assert_eq!(*server.push_events.lock().unwrap(), [(digest_of(b"{}"), None), (layer, None), manifest]);
}

#[tokio::test]
async fn indexes_repeated_pushes_and_mounts_are_notified() {
    let server = Server::start().await;
    let (_, layer) = server.push_image("a", "v1", "layer").await;
    server.push_events.lock().unwrap().clear();
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] });
    assert_eq!(server.put_manifest("a", "all", OCI_INDEX, &index).await.status(), 201);
    assert_eq!(server.put_manifest("a", "again", OCI_INDEX, &index).await.status(), 201);
    let mount = format!("/v2/b/blobs/uploads/?mount={layer}&from=a");
    assert_eq!(server.request(Method::POST, &mount).send().await.unwrap().status(), 201);
    let index = (digest_of(index.to_string().as_bytes()), Some(OCI_INDEX.to_owned()));
    assert_eq!(*server.push_events.lock().unwrap(), [index.clone(), index, (layer, None)]);
}

#[tokio::test]
async fn refused_content_is_not_notified() {
    let server = Server::start().await;
    let wrong = format!("/v2/a/blobs/uploads/?digest={}", no_such_digest());
    assert_eq!(server.request(Method::POST, &wrong).body("x").send().await.unwrap().status(), 400);
    let manifest = server.push_parts("a", "layer").await;
    server.push_events.lock().unwrap().clear();
    // The other repository has none of its blobs.
    assert_eq!(server.put_manifest("b", "v1", OCI_MANIFEST, &manifest).await.status(), 404);
    assert!(server.push_events.lock().unwrap().is_empty());
}
