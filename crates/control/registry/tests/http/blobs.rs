//! Blobs: whole, in ranges, per repository, and deleted.

use registry::Config;
use reqwest::Method;

use crate::server::{Server, code, digest_of, header, no_such_digest, refusal, refused};

#[tokio::test]
async fn a_blob_is_returned_unchanged_with_its_digest_headers() {
    let server = Server::start().await;
    let content: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let digest = server.push_blob("a/b", content.clone()).await;
    let path = format!("/v2/a/b/blobs/{digest}");
    for head in [true, false] {
        let response = if head { server.head(&path).await } else { server.get(&path).await };
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
        assert_eq!(header(&response, "content-length"), content.len().to_string());
        assert_eq!(header(&response, "content-type"), "application/octet-stream");
        assert_eq!(header(&response, "accept-ranges"), "bytes");
        assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
        let body = response.bytes().await.unwrap();
        assert!(body == if head { &[][..] } else { &content[..] });
    }
}

#[tokio::test]
async fn a_range_is_answered_with_that_part() {
    let server = Server::start().await;
    let digest = server.push_blob("a", "0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    for (range, content_range, body) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=0-99", "bytes 0-9/10", "0123456789"),
    ] {
        let response = server.request(Method::GET, &path).header("range", range).send().await.unwrap();
        assert_eq!(response.status(), 206, "{range}");
        assert_eq!(header(&response, "content-range"), content_range);
        assert_eq!(header(&response, "content-length"), body.len().to_string());
        assert_eq!(response.text().await.unwrap(), body);
    }
    let response = server.request(Method::GET, &path).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(header(&response, "content-range"), "bytes */10");
    assert_eq!(refused(response).await, code(416, "RANGE_INVALID"));
    let whole = server.request(Method::GET, &path).header("range", "bytes=1-2,4-5").send().await.unwrap();
    assert_eq!(whole.status(), 200);
    let other = server.request(Method::GET, &path).header("range", "bytes=1-2").header("if-range", "\"x\"");
    assert_eq!(other.send().await.unwrap().text().await.unwrap(), "0123456789");
    let same =
        server.request(Method::GET, &path).header("range", "bytes=1-2").header("if-range", format!("\"{digest}\""));
    assert_eq!(same.send().await.unwrap().text().await.unwrap(), "12");
}

#[tokio::test]
async fn a_matching_etag_is_answered_with_not_modified() {
    let server = Server::start().await;
    let digest = server.push_blob("a", "x").await;
    let known =
        server.request(Method::GET, &format!("/v2/a/blobs/{digest}")).header("if-none-match", format!("\"{digest}\""));
    let response = known.send().await.unwrap();
    assert_eq!(response.status(), 304);
    assert_eq!(response.text().await.unwrap(), "");
}

#[tokio::test]
async fn a_blob_is_visible_only_in_its_repository() {
    let server = Server::start().await;
    let digest = server.push_blob("a", "x").await;
    assert_eq!(server.head(&format!("/v2/a/blobs/{digest}")).await.status(), 200);
    for repository in ["b", "a/b"] {
        assert_eq!(
            refused(server.get(&format!("/v2/{repository}/blobs/{digest}")).await).await,
            code(404, "BLOB_UNKNOWN")
        );
    }
    assert_eq!(
        refused(server.get(&format!("/v2/a/blobs/{}", no_such_digest())).await).await,
        code(404, "BLOB_UNKNOWN")
    );
    assert_eq!(refused(server.get("/v2/a/blobs/sha512:00").await).await, code(400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn a_deleted_blob_is_removed_from_its_repository_only() {
    let server = Server::start().await;
    let digest = server.push_blob("a", "x").await;
    server.push_blob("b", "x").await;
    let path = format!("/v2/a/blobs/{digest}");
    assert_eq!(server.delete(&path).await.status(), 202);
    assert_eq!(refused(server.get(&path).await).await, code(404, "BLOB_UNKNOWN"));
    assert_eq!(refused(server.delete(&path).await).await, code(404, "BLOB_UNKNOWN"));
    assert_eq!(server.get(&format!("/v2/b/blobs/{digest}")).await.text().await.unwrap(), "x");
    assert_eq!(server.images.content().pins("registry-blob/").len(), 1);
}

#[tokio::test]
async fn a_blob_of_a_manifest_cannot_be_deleted_before_the_manifest() {
    let server = Server::start().await;
    let (manifest, layer) = server.push_image("a", "v1", "layer").await;
    let path = format!("/v2/a/blobs/{layer}");
    let (status, code, message) = refusal(server.delete(&path).await).await;
    assert_eq!((status, code.as_str()), (409, "DENIED"));
    assert!(message.contains(manifest.as_str()), "{message}");
    assert_eq!(server.delete(&format!("/v2/a/manifests/{manifest}")).await.status(), 202);
    assert_eq!(server.delete(&path).await.status(), 202);
}

#[tokio::test]
async fn a_sweep_removes_unreferenced_blobs_only() {
    let server = Server::with(Config { unreferenced_blob_keep_s: 0, ..Config::default() }).await;
    let (_, layer) = server.push_image("a", "v1", "layer").await;
    let alone = server.push_blob("a", "alone").await;
    let empty = server.push_blob("b/c", "alone").await;
    server.registry.sweep().await;
    assert_eq!(server.head(&format!("/v2/a/blobs/{layer}")).await.status(), 200);
    assert_eq!(server.head(&format!("/v2/a/blobs/{alone}")).await.status(), 404);
    assert_eq!(server.head(&format!("/v2/b/c/blobs/{empty}")).await.status(), 404);
    assert_eq!(server.images.content().pins("registry").len(), 3);
    // An empty repository does not exist.
    assert!(!server.metadata().join("repositories/b").exists());
    assert_eq!(refused(server.get("/v2/b/c/tags/list").await).await, code(404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn a_recently_requested_blob_is_not_swept() {
    let server = Server::with(Config { unreferenced_blob_keep_s: 3600, ..Config::default() }).await;
    let asked = server.push_blob("a", "asked").await;
    let forgotten = server.push_blob("a", "forgotten").await;
    let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    for digest in [&asked, &forgotten] {
        let file = std::fs::File::open(server.metadata().join("repositories/a/_blobs").join(digest.hex())).unwrap();
        file.set_modified(hours_ago).unwrap();
    }
    assert_eq!(server.head(&format!("/v2/a/blobs/{asked}")).await.status(), 200);
    server.registry.sweep().await;
    assert_eq!(server.head(&format!("/v2/a/blobs/{asked}")).await.status(), 200);
    assert_eq!(server.head(&format!("/v2/a/blobs/{forgotten}")).await.status(), 404);
}

#[tokio::test]
async fn an_empty_blob_is_accepted() {
    let server = Server::start().await;
    let digest = server.push_blob("a", "").await;
    assert_eq!(digest, digest_of(b""));
    let response = server.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(header(&response, "content-length"), "0");
}
