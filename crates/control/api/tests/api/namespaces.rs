//! The lifecycle of namespaces.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{Platform, redacted};

async fn names(platform: &Platform, request: Value) -> Vec<String> {
    let answer = platform.ok("ListNamespaces", request).await;
    answer["Namespaces"].as_array().unwrap().iter().map(|entry| entry["Name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_namespace_is_made_changed_listed_and_deleted() {
    let platform = Platform::start().await;
    platform.ok("CreateNamespace", json!({"Namespace": "prod", "Description": "for customers"})).await;
    platform.ok("CreateNamespace", json!({"Namespace": "test"})).await;
    platform.ok("UpdateNamespace", json!({"Namespace": "test", "Description": "for us"})).await;
    let by_name = json!({"Orderby": "Name", "Order": "ASC"});
    assert_json_snapshot!("namespaces", redacted(platform.ok("ListNamespaces", by_name.clone()).await));
    assert_eq!(
        names(&platform, json!({"SearchKey": [{"Key": "Description", "Value": "us"}], "Orderby": "Name"})).await,
        ["test", "prod"]
    );
    assert_eq!(names(&platform, json!({"SearchKey": [{"Key": "Namespace", "Value": "es"}]})).await, ["test"]);
    assert_eq!(names(&platform, json!({"Orderby": "Name", "Order": "ASC", "Offset": 1, "Limit": 1})).await, ["prod"]);
    platform.ok("DeleteNamespace", json!({"Namespace": "test"})).await;
    assert_eq!(names(&platform, by_name).await, ["default", "prod"]);
    platform.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_with_a_namespace_has_its_code() {
    let platform = Platform::start().await;
    let named = |name: &str| json!({"Namespace": name, "Description": "x"});
    platform.ok("CreateNamespace", named("prod")).await;
    platform.deploy(json!({"FunctionName": "hello", "Namespace": "prod"})).await;
    let table = [
        ("CreateNamespace", named("prod"), "ResourceInUse.Namespace"),
        ("CreateNamespace", named("default"), "ResourceInUse.Namespace"),
        ("CreateNamespace", named("a b"), "InvalidParameterValue.NamespaceInvalid"),
        ("CreateNamespace", json!({}), "MissingParameter"),
        ("UpdateNamespace", named("none"), "ResourceNotFound.Namespace"),
        ("UpdateNamespace", json!({"Namespace": "prod"}), "MissingParameter"),
        (
            "UpdateNamespace",
            json!({"Namespace": "prod", "Description": "x".repeat(1001)}),
            "InvalidParameterValue.Description",
        ),
        ("DeleteNamespace", named("none"), "ResourceNotFound.Namespace"),
        ("DeleteNamespace", named("prod"), "ResourceInUse.Namespace"),
        ("DeleteNamespace", named("default"), "FailedOperation.DeleteNamespace"),
        ("ListNamespaces", json!({"Orderby": "Size"}), "InvalidParameterValue.OrderBy"),
        ("ListNamespaces", json!({"SearchKey": [{"Key": "Size", "Value": "1"}]}), "InvalidParameterValue.SearchKey"),
    ];
    for (action, request, code) in table {
        assert_eq!(platform.code(action, request.clone()).await, code, "{action} {request}");
    }
    platform.stop().await;
}
