//! Manifests: stored byte by byte, found by tag and digest, refused when incomplete.

use registry::Config;
use reqwest::Method;
use serde_json::json;

use crate::server::{OCI_INDEX, OCI_MANIFEST, Server, code, digest_of, header, no_such_digest, refusal, refused};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

#[tokio::test]
async fn a_manifest_is_returned_with_its_bytes_and_media_type() {
    let server = Server::start().await;
    for (kind, spaces) in [(OCI_MANIFEST, "  "), (DOCKER_MANIFEST, "\n\t")] {
        let mut manifest = server.push_parts("a/b", "layer").await;
        manifest["mediaType"] = kind.into();
        // Trailing blanks are part of the digested bytes.
        let bytes = format!("{manifest}{spaces}");
        let digest = digest_of(bytes.as_bytes());
        let put = server.request(Method::PUT, "/v2/a/b/manifests/v1").header("content-type", kind).body(bytes.clone());
        let response = put.send().await.unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(header(&response, "location"), format!("/v2/a/b/manifests/{digest}"));
        assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
        for reference in ["v1", digest.as_str()] {
            let path = format!("/v2/a/b/manifests/{reference}");
            let head = server.head(&path).await;
            assert_eq!(head.status(), 200);
            assert_eq!(header(&head, "content-length"), bytes.len().to_string());
            let get = server.get(&path).await;
            for response in [&head, &get] {
                assert_eq!(header(response, "content-type"), kind);
                assert_eq!(header(response, "docker-content-digest"), digest.as_str());
                assert_eq!(header(response, "etag"), format!("\"{digest}\""));
            }
            assert_eq!(get.text().await.unwrap(), bytes);
        }
        let known =
            server.request(Method::GET, "/v2/a/b/manifests/v1").header("if-none-match", format!("\"{digest}\""));
        assert_eq!(known.send().await.unwrap().status(), 304);
    }
}

#[tokio::test]
async fn a_repeated_push_moves_the_tag_and_keeps_the_old_manifest() {
    let server = Server::start().await;
    let (old, _) = server.push_image("a", "v1", "old").await;
    let (new, _) = server.push_image("a", "v1", "new").await;
    assert_ne!(old, new);
    assert_eq!(header(&server.head("/v2/a/manifests/v1").await, "docker-content-digest"), new.as_str());
    assert_eq!(server.head(&format!("/v2/a/manifests/{old}")).await.status(), 200);
}

#[tokio::test]
async fn absent_manifests_are_unknown() {
    let server = Server::start().await;
    server.push_image("a", "v1", "layer").await;
    for reference in ["v2", no_such_digest().as_str(), ".no-tag", "sha256:12"] {
        let path = format!("/v2/a/manifests/{reference}");
        assert_eq!(refused(server.get(&path).await).await, code(404, "MANIFEST_UNKNOWN"), "{reference}");
        assert_eq!(server.head(&path).await.status(), 404);
        assert_eq!(refused(server.delete(&path).await).await, code(404, "MANIFEST_UNKNOWN"), "{reference}");
    }
    assert_eq!(refused(server.get("/v2/b/manifests/v1").await).await, code(404, "MANIFEST_UNKNOWN"));
    assert_eq!(refused(server.get("/v2/A/manifests/v1").await).await, code(400, "NAME_INVALID"));
    assert_eq!(refused(server.get("/v2/a/b").await).await, code(404, "UNSUPPORTED"));
    let post = server.request(Method::POST, "/v2/a/manifests/v1").send().await.unwrap();
    assert_eq!(header(&post, "allow"), "GET, HEAD, PUT, DELETE");
    assert_eq!(refused(post).await, code(405, "UNSUPPORTED"));
}

#[tokio::test]
async fn a_manifest_needs_everything_it_names_in_its_repository() {
    let server = Server::start().await;
    let manifest = server.push_parts("a", "layer").await;
    let put = server.put_manifest("b", "v1", OCI_MANIFEST, &manifest).await;
    let (status, code_, message) = refusal(put).await;
    assert_eq!((status, code_.as_str()), (404, "MANIFEST_BLOB_UNKNOWN"));
    assert!(message.contains("repository b"), "{message}");
    assert_eq!(server.get("/v2/b/manifests/v1").await.status(), 404);

    let mut wrong = manifest.clone();
    wrong["layers"][0]["size"] = 6.into();
    let (status, code_, message) = refusal(server.put_manifest("a", "v1", OCI_MANIFEST, &wrong).await).await;
    assert_eq!((status, code_.as_str()), (400, "MANIFEST_INVALID"));
    assert!(message.contains("has 5 bytes, but the manifest says 6"), "{message}");

    let child = digest_of(manifest.to_string().as_bytes());
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{ "mediaType": OCI_MANIFEST, "digest": child.as_str(), "size": manifest.to_string().len() }],
    });
    let missing = server.put_manifest("a", "v1", OCI_INDEX, &index).await;
    assert_eq!(refused(missing).await, code(404, "MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(server.put_manifest("a", child.as_str(), OCI_MANIFEST, &manifest).await.status(), 201);
    assert_eq!(server.put_manifest("a", "v1", OCI_INDEX, &index).await.status(), 201);
    let mut list = index.clone();
    list["mediaType"] = DOCKER_LIST.into();
    assert_eq!(server.put_manifest("a", "v2", DOCKER_LIST, &list).await.status(), 201);
    assert_eq!(header(&server.head("/v2/a/manifests/v2").await, "content-type"), DOCKER_LIST);
}

#[tokio::test]
async fn malformed_manifests_are_refused() {
    let server = Server::start().await;
    let manifest = server.push_parts("a", "layer").await;
    let put = async |reference: &str, kind: &str, body: String| {
        let path = format!("/v2/a/manifests/{reference}");
        server.request(Method::PUT, &path).header("content-type", kind).body(body).send().await.unwrap()
    };
    for (kind, body) in [
        (OCI_MANIFEST, "no json".to_owned()),
        (OCI_INDEX, manifest.to_string()),
        ("text/plain", manifest.to_string()),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", json!({ "schemaVersion": 1 }).to_string()),
    ] {
        assert_eq!(refused(put("v1", kind, body).await).await, code(400, "MANIFEST_INVALID"), "{kind}");
    }
    let body = manifest.to_string();
    assert_eq!(refused(put(".v1", OCI_MANIFEST, body.clone()).await).await, code(400, "TAG_INVALID"));
    assert_eq!(refused(put("sha512:00", OCI_MANIFEST, body.clone()).await).await, code(400, "DIGEST_INVALID"));
    let other = no_such_digest();
    assert_eq!(refused(put(other.as_str(), OCI_MANIFEST, body).await).await, code(400, "DIGEST_INVALID"));
    assert_eq!(refused(server.get(&format!("/v2/a/manifests/{other}")).await).await, code(404, "MANIFEST_UNKNOWN"));
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_refused() {
    let server = Server::with(Config { manifest_bytes_max: 1000, ..Config::default() }).await;
    let put = server.request(Method::PUT, "/v2/a/manifests/v1").header("content-type", OCI_MANIFEST);
    let (status, code, message) = refusal(put.body(" ".repeat(1001)).send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (413, "SIZE_INVALID"));
    assert!(message.contains("registry.manifest_bytes_max"), "{message}");
}

#[tokio::test]
async fn deleting_a_tag_keeps_the_manifest_and_deleting_a_manifest_removes_its_tags() {
    let server = Server::start().await;
    let (digest, _) = server.push_image("a", "v1", "layer").await;
    for tag in ["v2", "v3"] {
        server.push_image("a", tag, "layer").await;
    }
    server.push_image("a", "other", "other").await;
    assert_eq!(server.delete("/v2/a/manifests/v1").await.status(), 202);
    assert_eq!(server.get("/v2/a/manifests/v1").await.status(), 404);
    let by_digest = format!("/v2/a/manifests/{digest}");
    assert_eq!(server.get(&by_digest).await.status(), 200);
    assert_eq!(server.delete(&by_digest).await.status(), 202);
    for reference in ["v2", "v3", digest.as_str()] {
        assert_eq!(server.get(&format!("/v2/a/manifests/{reference}")).await.status(), 404, "{reference}");
    }
    assert_eq!(server.get("/v2/a/manifests/other").await.status(), 200);
    let content = server.images.content();
    assert_eq!(content.pinned(&format!("registry/a@{digest}")), None);
    assert_eq!(content.pins("registry/a@").len(), 1);
}
