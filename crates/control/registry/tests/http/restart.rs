//! State after a restart, and leftovers of a crash.

use content_store::ContentStore;
use registry::Config;

use crate::server::{Server, code, digest_of, header, refused};

#[tokio::test]
async fn acknowledged_pushes_survive_a_restart_and_uploads_start_again() {
    let server = Server::start().await;
    let (digest, layer) = server.push_image("a/b", "v1", "layer").await;
    let upload = server.begin_upload("a/b").await;
    let token = server.registry.mint_pull_token("a/b");
    let server = server.restart(Config::default()).await;
    assert_eq!(header(&server.head("/v2/a/b/manifests/v1").await, "docker-content-digest"), digest.as_str());
    assert_eq!(server.get(&format!("/v2/a/b/blobs/{layer}")).await.text().await.unwrap(), "layer");
    assert_eq!(refused(server.get(&upload).await).await, code(404, "BLOB_UPLOAD_UNKNOWN"));
    let with_old_token = server.anonymous(reqwest::Method::GET, "/v2/a/b/manifests/v1").bearer_auth(token);
    assert_eq!(with_old_token.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_collector_keeps_content_of_repositories_and_removes_deleted_content() {
    let server = Server::start().await;
    let (_, kept) = server.push_image("a", "v1", "kept").await;
    let dropped = server.push_blob("a", "dropped").await;
    assert_eq!(server.delete(&format!("/v2/a/blobs/{dropped}")).await.status(), 202);
    server.images.collect_garbage().await.unwrap();
    assert_eq!(server.get(&format!("/v2/a/blobs/{kept}")).await.text().await.unwrap(), "kept");
    assert_eq!(server.head("/v2/a/manifests/v1").await.status(), 200);
    assert_eq!(server.images.content().size(&dropped).await.unwrap(), None);
}

async fn put(content: &ContentStore, owner: &str, bytes: &'static str) {
    let digest = digest_of(bytes.as_bytes());
    content.put(&digest, bytes.into()).await.unwrap();
    content.pin(&owner.replace("DIGEST", digest.as_str()), &digest).await.unwrap();
}

#[tokio::test]
async fn a_start_removes_pins_and_drafts_left_by_a_crash() {
    let server = Server::start().await;
    server.push_image("a", "v1", "layer").await;
    let content = server.images.content().clone();
    let mut before = content.pins("");
    for owner in ["registry/a@DIGEST", "registry-blob/a@DIGEST", "registry-blob/gone@DIGEST", "somebody/else"] {
        put(&content, owner, "left behind").await;
    }
    std::fs::write(server.metadata().join("tmp/draft"), "half").unwrap();
    drop(content);
    let server = server.restart(Config::default()).await;
    before.push(("somebody/else".to_owned(), digest_of(b"left behind")));
    assert_eq!(server.images.content().pins(""), before);
    assert_eq!(std::fs::read_dir(server.metadata().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn content_lost_by_the_store_is_absent_and_can_be_pushed_again() {
    let server = Server::start().await;
    server.push_image("a", "v1", "layer").await;
    server.push_image("b", "v1", "other").await;
    let content = server.images.content();
    for (owner, _) in content.pins("registry").iter().filter(|(owner, _)| owner.contains("/a@")) {
        content.unpin(owner).await.unwrap();
    }
    server.images.collect_garbage().await.unwrap();
    let server = server.restart(Config::default()).await;
    assert_eq!(refused(server.get("/v2/a/manifests/v1").await).await, code(404, "MANIFEST_UNKNOWN"));
    assert_eq!(server.get("/v2/b/manifests/v1").await.status(), 200);
    server.push_image("a", "v1", "layer").await;
    assert_eq!(server.get("/v2/a/manifests/v1").await.status(), 200);
}

#[tokio::test]
async fn a_damaged_record_fails_only_its_own_manifest() {
    let server = Server::start().await;
    let (digest, _) = server.push_image("a", "v1", "layer").await;
    server.push_image("a", "v2", "other").await;
    std::fs::write(server.metadata().join("repositories/a/_manifests").join(digest.hex()), "{").unwrap();
    assert_eq!(refused(server.get("/v2/a/manifests/v1").await).await, code(500, "UNKNOWN"));
    assert_eq!(server.get("/v2/a/manifests/v2").await.status(), 200);
    let put = server.push_image("a", "v1", "layer").await;
    assert_eq!(put.0, digest);
    assert_eq!(server.get("/v2/a/manifests/v1").await.status(), 200);
}
