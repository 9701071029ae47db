//! Invalid requests: malformed HTTP, oversized bodies, and invalid fields. Each gets an error in
//! the API's format.

use api::Config;
use bytes::Bytes;
use http::{Method, Request};
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{Platform, code, now_s};

async fn code_of(platform: &Platform, request: Request<Bytes>) -> String {
    let answer = platform.send(request).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    answer.body["Response"]["Error"]["Code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn other_methods_are_told_what_to_send() {
    let platform = Platform::start().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = Request::builder().method(method).uri(format!("http://{}/", platform.host));
        assert_eq!(code_of(&platform, request.body(Bytes::new()).unwrap()).await, "UnsupportedProtocol");
    }
    platform.stop().await;
}

#[tokio::test]
async fn sizes_are_bounded() {
    let small = Config { body_bytes_max: 1000, query_bytes_max: 100, ..Config::default() };
    let platform = Platform::start_with(small).await;
    let padded = |bytes: usize| format!("{{{}}}", " ".repeat(bytes - 2));
    let fits = platform.signed("ListFunctions", padded(1000).as_bytes(), now_s());
    assert_eq!(code_of(&platform, fits).await, "");
    for bytes in [1001, 5 << 20] {
        let large = platform.signed("ListFunctions", padded(bytes).as_bytes(), now_s());
        assert_eq!(code_of(&platform, large).await, "RequestSizeLimitExceeded");
    }
    let query = Request::get(format!("http://{}/?{}", platform.host, "a".repeat(101))).body(Bytes::new()).unwrap();
    assert_eq!(code_of(&platform, query).await, "RequestSizeLimitExceeded");
    platform.stop().await;
}

#[tokio::test]
async fn bodies_that_are_no_json_objects_are_named() {
    let platform = Platform::start().await;
    for body in ["[]", "{", "text", "{} {}"] {
        let request = platform.signed("ListFunctions", body.as_bytes(), now_s());
        assert_eq!(code_of(&platform, request).await, "InvalidParameter", "{body}");
    }
    assert_eq!(code_of(&platform, platform.signed("ListFunctions", b"", now_s())).await, "");
    platform.stop().await;
}

#[tokio::test]
async fn every_wrong_field_is_named_with_what_is_allowed() {
    let platform = Platform::start().await;
    let with = |field: &str, value: Value| {
        let mut request = json!({"FunctionName": "hello", "Code": code("localhost:5000/ns/app:v1")});
        request[field] = value;
        request
    };
    let image = |field: &str, value: Value| {
        let mut code = code("localhost:5000/ns/app:v1");
        code["ImageConfig"][field] = value;
        with("Code", code)
    };
    let variable = |key: &str| with("Environment", json!({"Variables": [{"Key": key, "Value": "x"}]}));
    let requests = [
        json!({}),
        json!({"FunctionName": "hello"}),
        with("FunctionName", json!("1-hello")),
        with("Namespace", json!("none")),
        with("Namespace", json!("a b")),
        with("Type", json!("WEB")),
        with("MemorySize", json!(100)),
        with("MemorySize", json!(4096)),
        with("MemorySize", json!("128")),
        with("Timeout", json!(0)),
        with("InitTimeout", json!(301)),
        with("Description", json!("x".repeat(1001))),
        with("Runtime", json!("Python3.6")),
        with("Layers", json!([{"LayerName": "numpy", "LayerVersion": 1}])),
        with("AsyncRunEnable", json!("YES")),
        with("ProtocolType", json!("WS")),
        with("InstanceConcurrencyConfig", json!({"MaxConcurrency": 5})),
        with("PublicNetConfig", json!({"PublicNetStatus": "ON"})),
        with("Code", json!({"ZipFile": "UEsDBA=="})),
        variable("1A"),
        variable("SCF_REGION"),
        image("ImageUri", json!("http://localhost/app")),
        image("ImageType", json!("public")),
        image("ImageType", json!("enterprise")),
        image("ImagePort", json!(-2)),
        image("ImagePort", json!(70_000)),
    ];
    let mut answers = Vec::new();
    for request in requests {
        answers.push(platform.refused("CreateFunction", request).await);
    }
    assert_json_snapshot!("wrong_fields", answers);
    assert_eq!(platform.ok("ListFunctions", json!({})).await["TotalCount"], 0);
    platform.stop().await;
}
