//! Referrers: manifests found by their subject.

use registry::Config;
use serde_json::{Value, json};
use types::Digest;

use crate::server::{OCI_INDEX, OCI_MANIFEST, Server, code, digest_of, header, no_such_digest, refused};

/// Pushes an artifact with `subject`; returns its digest.
async fn attach(server: &Server, subject: &Digest, kind: &str, note: &str) -> Digest {
    let empty = server.push_blob("a", "{}").await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty.as_str(), "size": 2 },
        "layers": [{ "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty.as_str(), "size": 2 }],
        "subject": { "mediaType": OCI_MANIFEST, "digest": subject.as_str(), "size": 1 },
        "annotations": { "note": note },
    });
    let digest = digest_of(manifest.to_string().as_bytes());
    let response = server.put_manifest("a", digest.as_str(), OCI_MANIFEST, &manifest).await;
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "oci-subject"), subject.as_str());
    digest
}

fn digests(list: &Value) -> Vec<&str> {
    list["manifests"].as_array().unwrap().iter().map(|m| m["digest"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn artifacts_are_listed_under_their_subject_and_filtered_by_type() {
    let server = Server::start().await;
    let (subject, _) = server.push_image("a", "v1", "layer").await;
    let path = format!("/v2/a/referrers/{subject}");
    let none: Value = server.get(&path).await.json().await.unwrap();
    assert_eq!(none, json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [] }));

    let sbom = attach(&server, &subject, "text/sbom", "one").await;
    let signature = attach(&server, &subject, "text/signature", "two").await;
    let response = server.get(&path).await;
    assert_eq!(header(&response, "content-type"), OCI_INDEX);
    assert!(response.headers().get("oci-filters-applied").is_none());
    let all: Value = response.json().await.unwrap();
    let mut expected = vec![sbom.as_str(), signature.as_str()];
    expected.sort_unstable();
    assert_eq!(digests(&all), expected);

    let response = server.get(&format!("{path}?artifactType=text%2Fsbom")).await;
    assert_eq!(header(&response, "oci-filters-applied"), "artifactType");
    let filtered: Value = response.json().await.unwrap();
    assert_eq!(digests(&filtered), [sbom.as_str()]);
    let descriptor = &filtered["manifests"][0];
    assert_eq!(descriptor["mediaType"], OCI_MANIFEST);
    assert_eq!(descriptor["artifactType"], "text/sbom");
    assert_eq!(descriptor["annotations"], json!({ "note": "one" }));
    let bytes = server.get(&format!("/v2/a/manifests/{sbom}")).await.bytes().await.unwrap();
    assert_eq!(descriptor["size"], bytes.len());

    assert_eq!(server.delete(&format!("/v2/a/manifests/{sbom}")).await.status(), 202);
    let rest: Value = server.get(&path).await.json().await.unwrap();
    assert_eq!(digests(&rest), [signature.as_str()]);
}

#[tokio::test]
async fn an_image_without_an_artifact_type_is_of_the_type_of_its_config() {
    let server = Server::start().await;
    let (subject, _) = server.push_image("a", "v1", "layer").await;
    let mut manifest = server.push_parts("a", "signature").await;
    manifest["subject"] = json!({ "mediaType": OCI_MANIFEST, "digest": subject.as_str(), "size": 1 });
    assert_eq!(server.put_manifest("a", "s", OCI_MANIFEST, &manifest).await.status(), 201);
    let list: Value = server.get(&format!("/v2/a/referrers/{subject}")).await.json().await.unwrap();
    assert_eq!(list["manifests"][0]["artifactType"], "application/vnd.oci.image.config.v1+json");
}

#[tokio::test]
async fn a_subject_may_be_absent() {
    let server = Server::start().await;
    let nowhere = no_such_digest();
    let artifact = attach(&server, &nowhere, "text/x", "").await;
    let list: Value = server.get(&format!("/v2/a/referrers/{nowhere}")).await.json().await.unwrap();
    assert_eq!(digests(&list), [artifact.as_str()]);
    let elsewhere: Value = server.get(&format!("/v2/b/referrers/{nowhere}")).await.json().await.unwrap();
    assert_eq!(digests(&elsewhere), Vec::<&str>::new());
    assert_eq!(refused(server.get("/v2/a/referrers/v1").await).await, code(400, "DIGEST_INVALID"));
}

#[tokio::test]
async fn pages_of_a_long_list_keep_the_filter() {
    let server = Server::with(Config { page_len_max: 1, ..Config::default() }).await;
    let (subject, _) = server.push_image("a", "v1", "layer").await;
    for note in ["one", "two"] {
        attach(&server, &subject, "text/x", note).await;
    }
    attach(&server, &subject, "text/y", "").await;
    let (mut path, mut seen) = (format!("/v2/a/referrers/{subject}?artifactType=text/x"), 0);
    loop {
        let response = server.get(&path).await;
        let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        seen += digests(&response.json().await.unwrap()).len();
        let Some(link) = link else { break };
        path = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
    }
    assert_eq!(seen, 2);
}
