//! Uploads: in one request, in chunks, streamed, mounted; and their failures.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use registry::Config;
use reqwest::{Body, Method, Response};

use crate::server::{Server, code, digest_of, header, no_such_digest, refusal, refused, wait_for};

async fn patch(server: &Server, path: &str, range: &str, chunk: &'static str) -> Response {
    server.request(Method::PATCH, path).header("content-range", range).body(chunk).send().await.unwrap()
}

async fn finish(server: &Server, path: &str, content: &[u8]) -> Response {
    server.request(Method::PUT, &format!("{path}?digest={}", digest_of(content))).send().await.unwrap()
}

#[tokio::test]
async fn chunks_in_order_make_the_blob() {
    let server = Server::start().await;
    let path = server.begin_upload("a/b").await;
    for (range, chunk, received) in [("0-2", "abc", "0-2"), ("3-3", "d", "0-3")] {
        let response = patch(&server, &path, range, chunk).await;
        assert_eq!(response.status(), 202);
        assert_eq!(header(&response, "range"), received);
        assert_eq!(header(&response, "location"), path);
        assert!(path.ends_with(header(&response, "docker-upload-uuid")));
    }
    let status = server.get(&path).await;
    assert_eq!((status.status().as_u16(), header(&status, "range")), (204, "0-3"));
    let digest = digest_of(b"abcdef");
    let last =
        server.request(Method::PUT, &format!("{path}?digest={digest}")).header("content-range", "4-5").body("ef");
    let response = last.send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
    assert_eq!(header(&response, "location"), format!("/v2/a/b/blobs/{digest}"));
    assert_eq!(server.get(&format!("/v2/a/b/blobs/{digest}")).await.text().await.unwrap(), "abcdef");
    assert_eq!(refused(server.get(&path).await).await, code(404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn a_stream_without_a_range_is_appended() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    let pieces = stream::iter(["one ", "two"]).map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
    let response = server.request(Method::PATCH, &path).body(Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "range")), (202, "0-6"));
    assert_eq!(finish(&server, &path, b"one two").await.status(), 201);
}

#[tokio::test]
async fn a_session_may_be_finished_with_the_whole_blob() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    assert_eq!(header(&server.get(&path).await, "range"), "0-0");
    let put = server.request(Method::PUT, &format!("{path}?digest={}", digest_of(b"all"))).body("all");
    assert_eq!(put.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_with_the_expected_offset() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    patch(&server, &path, "0-2", "abc").await;
    for range in ["0-2", "4-6"] {
        let response = patch(&server, &path, range, "abc").await;
        assert_eq!((header(&response, "range"), header(&response, "location")), ("0-2", path.as_str()));
        assert_eq!(refused(response).await, code(416, "RANGE_INVALID"));
    }
    for (range, expected) in [("3-9", "SIZE_INVALID"), ("x", "BLOB_UPLOAD_INVALID"), ("5-3", "BLOB_UPLOAD_INVALID")] {
        assert_eq!(refused(patch(&server, &path, range, "abc").await).await, code(400, expected), "{range}");
    }
    // The failures have not changed the upload.
    assert_eq!(patch(&server, &path, "3-5", "def").await.status(), 202);
    assert_eq!(finish(&server, &path, b"abcdef").await.status(), 201);
}

#[tokio::test]
async fn content_of_another_digest_is_discarded() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    patch(&server, &path, "0-2", "abc").await;
    let (status, code_, message) = refusal(finish(&server, &path, b"other").await).await;
    assert_eq!((status, code_.as_str()), (400, "DIGEST_INVALID"));
    assert!(
        message.contains(digest_of(b"abc").as_str()) && message.contains(digest_of(b"other").as_str()),
        "{message}"
    );
    assert_eq!(refused(server.get(&path).await).await, code(404, "BLOB_UPLOAD_UNKNOWN"));
    let at_once =
        server.request(Method::POST, &format!("/v2/a/blobs/uploads/?digest={}", no_such_digest())).body("abc");
    assert_eq!(refused(at_once.send().await.unwrap()).await, code(400, "DIGEST_INVALID"));
    for digest in [digest_of(b"abc"), no_such_digest()] {
        assert_eq!(server.head(&format!("/v2/a/blobs/{digest}")).await.status(), 404);
        assert_eq!(server.images.content().size(&digest).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_upload_is_finished_only_with_a_digest() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    for query in ["", "?digest=", "?digest=sha512:00", "?digest=md5:00"] {
        let put = server.request(Method::PUT, &format!("{path}{query}")).body("x").send().await.unwrap();
        assert_eq!(refused(put).await, code(400, "DIGEST_INVALID"), "{query}");
    }
    // The session can still be finished.
    let put =
        server.request(Method::PUT, &format!("{path}?digest={}", digest_of(b"x"))).body("x").send().await.unwrap();
    assert_eq!(put.status(), 201);
}

#[tokio::test]
async fn a_cancelled_upload_is_removed() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    assert_eq!(server.delete(&path).await.status(), 204);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let response = server.request(method, &path).send().await.unwrap();
        assert_eq!(refused(response).await, code(404, "BLOB_UPLOAD_UNKNOWN"));
    }
    let put = finish(&server, &path, b"").await;
    assert_eq!(refused(put).await, code(404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    let elsewhere = path.replace("/v2/a/", "/v2/b/");
    assert_eq!(refused(server.get(&elsewhere).await).await, code(404, "BLOB_UPLOAD_UNKNOWN"));
    assert_eq!(server.get(&path).await.status(), 204);
}

#[tokio::test]
async fn a_concurrent_request_to_the_same_upload_is_refused() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = Body::wrap_stream(stream_of(receiver));
    let first = tokio::spawn(server.request(Method::PATCH, &path).body(body).send());
    sender.send(Ok(Bytes::from("abc"))).await.unwrap();
    let conflict = wait_for(async || Some(server.get(&path).await).filter(|response| response.status() != 204)).await;
    assert_eq!(refused(conflict).await, code(409, "BLOB_UPLOAD_INVALID"));
    drop(sender);
    assert_eq!(first.await.unwrap().unwrap().status(), 202);
    assert_eq!(finish(&server, &path, b"abc").await.status(), 201);
}

fn stream_of<T>(receiver: tokio::sync::mpsc::Receiver<T>) -> impl futures_util::Stream<Item = T> {
    stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) })
}

#[tokio::test]
async fn an_upload_can_be_resumed_after_a_disconnect() {
    let server = Server::start().await;
    let path = server.begin_upload("a").await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let first = tokio::spawn(server.request(Method::PATCH, &path).body(Body::wrap_stream(stream_of(receiver))).send());
    sender.send(Ok(Bytes::from("abc"))).await.unwrap();
    sender.send(Err(std::io::Error::other("gone"))).await.unwrap();
    first.await.unwrap().unwrap_err();
    wait_for(async || {
        let response = server.get(&path).await;
        (response.status() == 204 && header(&response, "range") == "0-2").then_some(())
    })
    .await;
    assert_eq!(patch(&server, &path, "3-5", "def").await.status(), 202);
    assert_eq!(finish(&server, &path, b"abcdef").await.status(), 201);
}

#[tokio::test]
async fn a_blob_is_mounted_from_a_repository_that_has_it() {
    let server = Server::start().await;
    let digest = server.push_blob("a", "x").await;
    let mount = async |to: &str, query: String| {
        server.request(Method::POST, &format!("/v2/{to}/blobs/uploads/?{query}")).send().await.unwrap()
    };
    let response = mount("b", format!("mount={digest}&from=a")).await;
    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "location"), format!("/v2/b/blobs/{digest}"));
    assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
    assert_eq!(server.get(&format!("/v2/b/blobs/{digest}")).await.text().await.unwrap(), "x");
    // A blob that cannot be mounted becomes an upload.
    for query in [
        format!("mount={digest}&from=nowhere"),
        format!("mount={}&from=a", no_such_digest()),
        format!("mount={digest}"),
        format!("mount={digest}&from=../a"),
        "mount=sha512:00&from=a".to_owned(),
    ] {
        let response = mount("c", query).await;
        assert_eq!(response.status(), 202);
        assert!(header(&response, "location").starts_with("/v2/c/blobs/uploads/"));
    }
    // A token for one repository does not allow reading another.
    let token = server.registry.mint_token(vec![registry::Scope::repository("c", registry::Actions::PUSH)]);
    let path = format!("/v2/c/blobs/uploads/?mount={digest}&from=a");
    let response = server.anonymous(Method::POST, &path).bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(server.head(&format!("/v2/c/blobs/{digest}")).await.status(), 404);
}

#[tokio::test]
async fn a_blob_over_the_limit_is_refused_by_its_length_and_while_streaming() {
    let server = Server::with(Config { blob_bytes_max: 10, ..Config::default() }).await;
    let path = server.begin_upload("a").await;
    let (status, code_, message) =
        refusal(server.request(Method::PATCH, &path).body("0123456789a").send().await.unwrap()).await;
    assert_eq!((status, code_.as_str()), (413, "SIZE_INVALID"));
    assert!(message.contains("blob_bytes_max"), "{message}");
    assert_eq!(patch(&server, &path, "0-9", "0123456789").await.status(), 202);
    assert_eq!(refused(patch(&server, &path, "10-10", "a").await).await, code(413, "SIZE_INVALID"));
    let pieces = stream::iter([Ok::<_, std::io::Error>(Bytes::from("a"))]);
    let streamed = server.request(Method::PATCH, &path).body(Body::wrap_stream(pieces)).send().await.unwrap();
    assert_eq!(refused(streamed).await, code(413, "SIZE_INVALID"));
    assert_eq!(finish(&server, &path, b"0123456789").await.status(), 201);
}

#[tokio::test]
async fn uploads_are_limited_and_idle_ones_expire() {
    let config = Config { uploads_max: 2, upload_idle_s: 3600, ..Config::default() };
    let server = Server::with(config.clone()).await;
    let first = server.begin_upload("a").await;
    server.begin_upload("b").await;
    let response = server.request(Method::POST, "/v2/a/blobs/uploads/").send().await.unwrap();
    assert_eq!(header(&response, "retry-after"), "5");
    assert_eq!(refused(response).await, code(429, "TOOMANYREQUESTS"));
    assert_eq!(server.delete(&first).await.status(), 204);
    server.begin_upload("a").await;

    let server = server.restart(Config { upload_idle_s: 0, ..config }).await;
    for _ in 0..5 {
        server.begin_upload("a").await;
    }
}

#[tokio::test]
async fn an_upload_in_one_request_leaves_no_session() {
    let server = Server::with(Config { uploads_max: 1, ..Config::default() }).await;
    server.push_blob("a", "one").await;
    let wrong = server.request(Method::POST, &format!("/v2/a/blobs/uploads/?digest={}", no_such_digest())).body("x");
    assert_eq!(wrong.send().await.unwrap().status(), 400);
    server.push_blob("a", "two").await;
}

#[tokio::test]
async fn a_stalled_body_times_out() {
    let server = Server::with(Config { body_idle_s: 1, ..Config::default() }).await;
    let path = server.begin_upload("a").await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let request = server.request(Method::PATCH, &path).body(Body::wrap_stream(stream_of(receiver))).send();
    sender.send(Ok(Bytes::from("abc"))).await.unwrap();
    let response = tokio::time::timeout(Duration::from_secs(30), request).await.unwrap().unwrap();
    let (status, code_, message) = refusal(response).await;
    assert_eq!((status, code_.as_str()), (408, "REQUEST_TIMEOUT"));
    assert!(message.contains("body_idle_s"), "{message}");
    drop(sender);
    // The bytes received before the timeout are kept.
    assert_eq!(finish(&server, &path, b"abc").await.status(), 201);
}
