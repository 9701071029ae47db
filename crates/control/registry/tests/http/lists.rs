//! Lists of tags and repositories, and their pages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, code, header, refused};

async fn list(server: &Server, path: &str) -> Value {
    let response = server.get(path).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "content-type"), "application/json");
    response.json().await.unwrap()
}

#[tokio::test]
async fn tags_are_listed_in_order_whatever_their_case() {
    let server = Server::start().await;
    for tag in ["b", "A", "a", "C"] {
        server.push_image("x/y", tag, "layer").await;
    }
    assert_eq!(list(&server, "/v2/x/y/tags/list").await, json!({ "name": "x/y", "tags": ["A", "a", "b", "C"] }));
    server.push_blob("only/blobs", "x").await;
    assert_eq!(list(&server, "/v2/only/blobs/tags/list").await, json!({ "name": "only/blobs", "tags": [] }));
    for nowhere in ["x", "nowhere"] {
        assert_eq!(refused(server.get(&format!("/v2/{nowhere}/tags/list")).await).await, code(404, "NAME_UNKNOWN"));
    }
}

#[tokio::test]
async fn pages_of_tags_lead_from_one_to_the_next() {
    let server = Server::start().await;
    for tag in ["1", "2", "3", "4", "5"] {
        server.push_image("a", tag, "layer").await;
    }
    let (mut path, mut seen) = ("/v2/a/tags/list?n=2".to_owned(), Vec::new());
    loop {
        let response = server.get(&path).await;
        let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let body: Value = response.json().await.unwrap();
        seen.push(body["tags"].clone());
        let Some(link) = link else { break };
        path = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
    }
    assert_eq!(json!(seen), json!([["1", "2"], ["3", "4"], ["5"]]));
    assert_eq!(list(&server, "/v2/a/tags/list?last=3").await["tags"], json!(["4", "5"]));
    let none = server.get("/v2/a/tags/list?n=0").await;
    assert!(none.headers().get("link").is_none());
    assert_eq!(none.json::<Value>().await.unwrap()["tags"], json!([]));
    assert_eq!(refused(server.get("/v2/a/tags/list?n=x").await).await, code(400, "PAGINATION_NUMBER_INVALID"));
    let post = server.request(Method::POST, "/v2/a/tags/list").send().await.unwrap();
    assert_eq!(refused(post).await, code(405, "UNSUPPORTED"));
}

#[tokio::test]
async fn the_catalog_lists_nested_repositories_in_pages() {
    let server = Server::start().await;
    assert_eq!(list(&server, "/v2/_catalog").await, json!({ "repositories": [] }));
    for repository in ["b", "a/tags/list", "a", "a/blobs"] {
        server.push_image(repository, "v1", "layer").await;
    }
    let all = json!({ "repositories": ["a", "a/blobs", "a/tags/list", "b"] });
    assert_eq!(list(&server, "/v2/_catalog").await, all);
    let page = server.get("/v2/_catalog?n=2").await;
    assert_eq!(header(&page, "link"), "</v2/_catalog?n=2&last=a%2Fblobs>; rel=\"next\"");
    let rest = list(&server, "/v2/_catalog?n=2&last=a%2Fblobs").await;
    assert_eq!(rest, json!({ "repositories": ["a/tags/list", "b"] }));
}
