//! Pushes and pulls step by step, as clients do them, and many concurrently.

use futures_util::future::join_all;
use reqwest::Method;

use crate::server::{OCI_MANIFEST, Server, digest_of, header};

#[tokio::test]
async fn a_client_pushes_and_pulls_an_image_with_tokens_alone() {
    let server = Server::start().await;
    // The challenge names the token endpoint.
    let challenge = server.anonymous(Method::POST, "/v2/team/app/blobs/uploads/").send().await.unwrap();
    let challenge = header(&challenge, "www-authenticate").to_owned();
    let field = |name: &str| challenge.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
    let url = format!("{}?service={}&scope={}", field("realm"), field("service"), field("scope"));
    let answer: serde_json::Value = server.request(Method::GET, &url).send().await.unwrap().json().await.unwrap();
    let token = answer["token"].as_str().unwrap();
    let request = |method, path: &str| server.anonymous(method, path).bearer_auth(token);

    let manifest = server.push_parts("parts", "layer").await;
    for blob in ["{}", "layer"] {
        let digest = digest_of(blob.as_bytes());
        let there = request(Method::HEAD, &format!("/v2/team/app/blobs/{digest}")).send().await.unwrap();
        assert_eq!(there.status(), 404);
        let begin = request(Method::POST, "/v2/team/app/blobs/uploads/").send().await.unwrap();
        let patch = request(Method::PATCH, header(&begin, "location")).body(blob).send().await.unwrap();
        let put =
            request(Method::PUT, &format!("{}?digest={digest}", header(&patch, "location"))).send().await.unwrap();
        assert_eq!(put.status(), 201);
        assert_eq!(request(Method::HEAD, header(&put, "location")).send().await.unwrap().status(), 200);
    }
    let put = request(Method::PUT, "/v2/team/app/manifests/v1").header("content-type", OCI_MANIFEST);
    assert_eq!(put.body(manifest.to_string()).send().await.unwrap().status(), 201);

    let pulled = request(Method::GET, "/v2/team/app/manifests/v1").send().await.unwrap();
    assert_eq!(header(&pulled, "docker-content-digest"), digest_of(manifest.to_string().as_bytes()).as_str());
    let pulled: serde_json::Value = pulled.json().await.unwrap();
    let layer = pulled["layers"][0]["digest"].as_str().unwrap();
    let layer = request(Method::GET, &format!("/v2/team/app/blobs/{layer}")).send().await.unwrap();
    assert_eq!(layer.text().await.unwrap(), "layer");
}

#[tokio::test]
async fn concurrent_pushes_deletions_and_sweeps_leave_complete_images() {
    let server = Server::with(registry::Config { unreferenced_blob_keep_s: 3600, ..Default::default() }).await;
    let rounds = (0..24).map(|i| {
        let server = &server;
        async move {
            let (repository, tag) = (format!("r{}", i % 3), format!("t{i}"));
            let (digest, _) = server.push_image(&repository, &tag, &format!("layer {}", i % 5)).await;
            if i % 4 == 0 {
                // Another round may have pushed and deleted the same manifest.
                let status = server.delete(&format!("/v2/{repository}/manifests/{digest}")).await.status().as_u16();
                assert!(matches!(status, 202 | 404), "{status}");
            }
            server.registry.sweep().await;
        }
    });
    join_all(rounds).await;
    for i in 0..24 {
        let response = server.get(&format!("/v2/r{}/manifests/t{i}", i % 3)).await;
        if response.status() == 404 {
            continue;
        }
        assert_eq!(response.status(), 200);
        let manifest: serde_json::Value = response.json().await.unwrap();
        for part in [&manifest["config"], &manifest["layers"][0]] {
            let path = format!("/v2/r{}/blobs/{}", i % 3, part["digest"].as_str().unwrap());
            assert_eq!(server.head(&path).await.status(), 200);
        }
    }
}
