//! Lists of functions: order, pages, conditions; and the account.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{Platform, redacted};

async fn names(platform: &Platform, request: Value) -> (Vec<String>, u64) {
    let answer = platform.ok("ListFunctions", request).await;
    let functions = answer["Functions"].as_array().unwrap();
    let names = functions.iter().map(|function| function["FunctionName"].as_str().unwrap().to_owned()).collect();
    (names, answer["TotalCount"].as_u64().unwrap())
}

async fn three(platform: &Platform) {
    platform.deploy(json!({"FunctionName": "alpha", "Tags": [{"Key": "team", "Value": "a"}], "Role": "r1"})).await;
    platform.deploy(json!({"FunctionName": "beta", "Type": "HTTP", "Description": "the second"})).await;
    platform.deploy(json!({"FunctionName": "gamma", "Tags": [{"Key": "team", "Value": "b"}]})).await;
}

#[tokio::test]
async fn a_line_has_every_field_of_the_contract() {
    let platform = Platform::start().await;
    three(&platform).await;
    let request = json!({"Orderby": "FunctionName", "Order": "ASC", "Limit": 2});
    assert_json_snapshot!("list", redacted(platform.ok("ListFunctions", request).await));
    platform.stop().await;
}

#[tokio::test]
async fn pages_follow_the_order_and_count_all_matches() {
    let platform = Platform::start().await;
    three(&platform).await;
    let by_name = |offset: u32, limit: u32, order: &str| json!({"Orderby": "FunctionName", "Order": order, "Offset": offset, "Limit": limit});
    assert_eq!(names(&platform, by_name(0, 2, "ASC")).await, (vec!["alpha".into(), "beta".into()], 3));
    assert_eq!(names(&platform, by_name(2, 2, "ASC")).await, (vec!["gamma".into()], 3));
    assert_eq!(names(&platform, by_name(0, 1, "DESC")).await, (vec!["gamma".into()], 3));
    assert_eq!(names(&platform, by_name(9, 1, "DESC")).await, (vec![], 3));
    assert_eq!(platform.code("ListFunctions", by_name(0, 1001, "ASC")).await, "InvalidParameterValue.Limit");
    platform.stop().await;
}

#[tokio::test]
async fn conditions_hold_together() {
    let platform = Platform::start().await;
    three(&platform).await;
    let found =
        |filters: Value| names(&platform, json!({"Orderby": "FunctionName", "Order": "ASC", "Filters": filters}));
    let filter = |name: &str, values: &[&str]| json!({"Name": name, "Values": values});
    let (web, _) = found(json!([filter("FunctionType", &["HTTP"]), filter("Runtime", &["CustomImage"])])).await;
    assert_eq!(web, ["beta"]);
    let (tagged, total) = found(json!([filter("tag-team", &["a", "b"]), filter("Status", &["Active"])])).await;
    assert_eq!((tagged, total), (vec!["alpha".to_owned(), "gamma".to_owned()], 2));
    assert_eq!(found(json!([filter("tag-team", &["b"]), filter("Role", &["r1"])])).await, (vec![], 0));
    let paged = json!({"Orderby": "FunctionName", "Order": "ASC", "Offset": 1, "Limit": 1,
                       "Filters": [filter("tag-team", &["a", "b"])]});
    assert_eq!(names(&platform, paged).await, (vec!["gamma".to_owned()], 2));
    assert_eq!(names(&platform, json!({"SearchKey": "mm"})).await.0, ["gamma"]);
    assert_eq!(names(&platform, json!({"Description": "second"})).await.0, ["beta"]);
    assert_eq!(platform.code("ListFunctions", json!({"Namespace": "none"})).await, "ResourceNotFound.Namespace");
    platform.stop().await;
}

#[tokio::test]
async fn the_account_tells_what_is_used_and_what_may_be() {
    let platform = Platform::start().await;
    three(&platform).await;
    platform.ok("Invoke", json!({"FunctionName": "alpha"})).await;
    assert_json_snapshot!("account", redacted(platform.ok("GetAccount", json!({})).await));
    platform.stop().await;
}
