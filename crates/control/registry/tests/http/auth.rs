//! Authentication: challenges, tokens, scopes, anonymous pulls.

use registry::{Actions, Config, Scope};
use reqwest::Method;
use serde_json::Value;

use crate::server::{ID, KEY, Server, code, header, refusal, refused};

async fn token(server: &Server, scopes: &str) -> String {
    let response = server.get(&format!("/v2/token?service=sampan-registry&{scopes}")).await;
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 300);
    assert!(body["issued_at"].as_str().unwrap().ends_with('Z'));
    body["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_path_needs_a_login_and_the_challenge_names_the_token_endpoint() {
    let server = Server::start().await;
    let realm = format!("Bearer realm=\"http://{}/v2/token\",service=\"sampan-registry\"", server.host);
    for (method, path, scope) in [
        (Method::GET, "/v2/", ""),
        (Method::GET, "/v2/_catalog", ",scope=\"registry:catalog:*\""),
        (Method::GET, "/v2/a/b/tags/list", ",scope=\"repository:a/b:pull\""),
        (Method::PUT, "/v2/a/manifests/x", ",scope=\"repository:a:pull,push\""),
        (Method::POST, "/v2/a/blobs/uploads/", ",scope=\"repository:a:pull,push\""),
        (Method::DELETE, "/v2/a/manifests/x", ",scope=\"repository:a:delete\""),
    ] {
        let response = server.anonymous(method, path).send().await.unwrap();
        assert_eq!(header(&response, "www-authenticate"), format!("{realm}{scope}"), "{path}");
        assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
        let (status, code, message) = refusal(response).await;
        assert_eq!((status, code.as_str()), (401, "UNAUTHORIZED"), "{path}");
        assert!(message.contains("docker login"), "{message}");
    }
}

#[tokio::test]
async fn the_key_pair_logs_in_directly_and_at_the_token_endpoint() {
    let server = Server::start().await;
    assert_eq!(server.get("/v2/").await.status(), 200);
    assert_eq!(server.get("/v2").await.status(), 200);
    // `docker login` requests a token without scopes.
    let token = token(&server, "account=x&client_id=docker&offline_token=true").await;
    let response = server.anonymous(Method::GET, "/v2/").bearer_auth(&token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let response = server.anonymous(Method::GET, "/v2/_catalog").bearer_auth(&token).send().await.unwrap();
    assert!(header(&response, "www-authenticate").ends_with("error=\"insufficient_scope\""));
    assert_eq!(refused(response).await, code(401, "UNAUTHORIZED"));
}

#[tokio::test]
async fn wrong_passwords_and_tokens_are_refused_with_a_remedy() {
    let server = Server::start().await;
    for path in ["/v2/", "/v2/token", "/v2/_catalog"] {
        for (user, password) in [(ID, "wrong"), ("wrong", KEY), ("", ""), (KEY, ID)] {
            let request = server.anonymous(Method::GET, path).basic_auth(user, Some(password));
            let (status, code, message) = refusal(request.send().await.unwrap()).await;
            assert_eq!((status, code.as_str()), (401, "UNAUTHORIZED"));
            assert!(message.contains("secret id"), "{message}");
        }
    }
    for credentials in ["Bearer nonsense", "Basic !", "Basic bm8tY29sb24=", "Digest x", "x"] {
        let request = server.anonymous(Method::GET, "/v2/").header("authorization", credentials);
        let response = request.send().await.unwrap();
        assert!(header(&response, "www-authenticate").contains("invalid_token"), "{credentials}");
        assert_eq!(refused(response).await, code(401, "UNAUTHORIZED"));
    }
    // Without a password the token endpoint challenges.
    let response = server.anonymous(Method::GET, "/v2/token").send().await.unwrap();
    assert_eq!(header(&response, "www-authenticate"), "Basic realm=\"sampan-registry\"");
    assert_eq!(refused(response).await, code(401, "UNAUTHORIZED"));
}

#[tokio::test]
async fn a_token_allows_its_scopes_and_nothing_else() {
    let server = Server::start().await;
    server.push_image("a/b", "v1", "layer").await;
    server.push_image("other", "v1", "layer").await;
    let pull = token(&server, "scope=repository:a/b:pull").await;
    let push = token(&server, "scope=repository:a/b:pull,push&scope=repository:other:pull").await;
    let all = token(&server, "scope=repository:a/b:*%20registry:catalog:*").await;
    let status = async |method: Method, path: &str, token: &str| {
        server.anonymous(method, path).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(Method::GET, "/v2/a/b/manifests/v1", &pull).await, 200);
    assert_eq!(status(Method::GET, "/v2/other/manifests/v1", &pull).await, 401);
    assert_eq!(status(Method::POST, "/v2/a/b/blobs/uploads/", &pull).await, 401);
    assert_eq!(status(Method::POST, "/v2/a/b/blobs/uploads/", &push).await, 202);
    assert_eq!(status(Method::GET, "/v2/other/manifests/v1", &push).await, 200);
    assert_eq!(status(Method::DELETE, "/v2/a/b/manifests/v1", &push).await, 401);
    assert_eq!(status(Method::GET, "/v2/_catalog", &push).await, 401);
    assert_eq!(status(Method::GET, "/v2/_catalog", &all).await, 200);
    assert_eq!(status(Method::DELETE, "/v2/a/b/manifests/v1", &all).await, 202);
    // Otherwise a token could be renewed without end.
    assert_eq!(status(Method::GET, "/v2/token?scope=repository:a/b:pull", &all).await, 401);
}

#[tokio::test]
async fn docker_and_containerd_get_tokens_with_a_form() {
    let server = Server::start().await;
    let ask = async |form: &str| {
        let post = server.anonymous(Method::POST, "/v2/token");
        post.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned()).send().await.unwrap()
    };
    let response =
        ask("grant_type=password&username=the-id&password=the%3Akey&scope=repository:a:pull,push&service=x").await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "cache-control"), "no-store");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["scope"], "repository:a:pull,push");
    assert_eq!(body["token_type"], "Bearer");
    let token = body["access_token"].as_str().unwrap();
    let begin = server.anonymous(Method::POST, "/v2/a/blobs/uploads/").bearer_auth(token);
    assert_eq!(begin.send().await.unwrap().status(), 202);
    let wrong = ask("grant_type=password&username=the-id&password=wrong").await;
    assert_eq!(refused(wrong).await, code(401, "UNAUTHORIZED"));
    let refresh = ask("grant_type=refresh_token&refresh_token=x").await;
    assert_eq!(refused(refresh).await, code(400, "UNSUPPORTED"));
    let long = format!("grant_type=password&x={}", "x".repeat(70_000));
    assert_eq!(refused(ask(&long).await).await, code(413, "SIZE_INVALID"));
    let many = format!("/v2/token?{}", "scope=repository:a:pull&".repeat(65));
    assert_eq!(refused(server.get(&many).await).await, code(403, "DENIED"));
    let delete = server.delete("/v2/token").await;
    assert_eq!(header(&delete, "allow"), "GET, POST");
    assert_eq!(refused(delete).await, code(405, "UNSUPPORTED"));
}

#[tokio::test]
async fn the_platform_pulls_with_a_token_of_its_own() {
    let server = Server::start().await;
    server.push_image("a", "v1", "layer").await;
    let pull = server.registry.mint_pull_token("a");
    let get = async |path: &str, token: &str| {
        server.anonymous(Method::GET, path).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(get("/v2/a/manifests/v1", &pull).await, 200);
    assert_eq!(get("/v2/b/manifests/v1", &pull).await, 401);
    let both = vec![Scope::repository("b", Actions::PULL), Scope::catalog()];
    let both = server.registry.mint_token(both);
    assert_eq!(get("/v2/b/manifests/v1", &both).await, 404);
    assert_eq!(get("/v2/_catalog", &both).await, 200);
}

#[tokio::test]
async fn anonymous_pulls_are_open_only_when_configured() {
    let server = Server::with(Config { anonymous_pull: true, ..Config::default() }).await;
    server.push_image("a", "v1", "layer").await;
    let status =
        async |method: Method, path: &str| server.anonymous(method, path).send().await.unwrap().status().as_u16();
    assert_eq!(status(Method::GET, "/v2/a/manifests/v1").await, 200);
    assert_eq!(status(Method::GET, "/v2/a/tags/list").await, 200);
    assert_eq!(status(Method::PUT, "/v2/a/manifests/v1").await, 401);
    assert_eq!(status(Method::DELETE, "/v2/a/manifests/v1").await, 401);
    assert_eq!(status(Method::GET, "/v2/_catalog").await, 401);
    // Clients decide here whether they log in: it is never anonymous.
    assert_eq!(status(Method::GET, "/v2/").await, 401);
    let path = "/v2/token?scope=repository:a:pull,push";
    let body: Value = server.anonymous(Method::GET, path).send().await.unwrap().json().await.unwrap();
    let token = body["token"].as_str().unwrap();
    let with = async |method: Method, path: &str| {
        server.anonymous(method, path).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(with(Method::GET, "/v2/a/manifests/v1").await, 200);
    assert_eq!(with(Method::POST, "/v2/a/blobs/uploads/").await, 401);
    // A wrong password is not an anonymous request.
    let wrong = server.anonymous(Method::GET, "/v2/a/manifests/v1").basic_auth(ID, Some("wrong"));
    assert_eq!(refused(wrong.send().await.unwrap()).await, code(401, "UNAUTHORIZED"));
}
