//! Quotas of functions and of the installation. The platform of these tests has 12,800 MB.

use serde_json::{Value, json};

use crate::support::Platform;

async fn reserved(platform: &Platform) -> Value {
    platform.ok("GetReservedConcurrencyConfig", json!({"FunctionName": "hello"})).await["ReservedMem"].clone()
}

#[tokio::test]
async fn a_reservation_is_set_shown_counted_and_taken_back() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    assert_eq!(reserved(&platform).await, Value::Null);
    let put = json!({"FunctionName": "hello", "ReservedConcurrencyMem": 1024});
    platform.ok("PutReservedConcurrencyConfig", put).await;
    assert_eq!(reserved(&platform).await, 1024);
    let listed = platform.ok("ListFunctions", json!({})).await;
    assert_eq!(listed["Functions"][0]["ReservedConcurrencyMem"], 1024);
    let usage = platform.ok("GetAccount", json!({})).await["AccountUsage"].clone();
    assert_eq!(usage["TotalAllocatedConcurrencyMem"], 1024);
    assert_eq!(usage["Namespace"][0]["TotalAllocatedConcurrencyMem"], 1024);
    platform.ok("DeleteReservedConcurrencyConfig", json!({"FunctionName": "hello"})).await;
    assert_eq!(reserved(&platform).await, Value::Null);
    platform.stop().await;
}

#[tokio::test]
async fn the_quota_of_the_installation_is_set_within_its_bounds() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    platform.ok("PutTotalConcurrencyConfig", json!({"TotalConcurrencyMem": 2000})).await;
    platform.ok("PutReservedConcurrencyConfig", json!({"FunctionName": "hello", "ReservedConcurrencyMem": 0})).await;
    let table = [
        ("PutTotalConcurrencyConfig", json!({}), "MissingParameter"),
        ("PutTotalConcurrencyConfig", json!({"TotalConcurrencyMem": -1}), "InvalidParameterValue.Memory"),
        ("PutTotalConcurrencyConfig", json!({"TotalConcurrencyMem": 0}), "FailedOperation.ReservedExceedTotal"),
        (
            "PutTotalConcurrencyConfig",
            json!({"TotalConcurrencyMem": 12_801}),
            "LimitExceeded.UserTotalConcurrencyMemory",
        ),
        ("PutReservedConcurrencyConfig", json!({"FunctionName": "hello"}), "MissingParameter"),
        (
            "PutReservedConcurrencyConfig",
            json!({"FunctionName": "hello", "ReservedConcurrencyMem": -1}),
            "InvalidParameterValue.Memory",
        ),
        (
            "PutReservedConcurrencyConfig",
            json!({"FunctionName": "hello", "ReservedConcurrencyMem": 12_800}),
            "LimitExceeded.FunctionReservedConcurrencyMemory",
        ),
        (
            "PutReservedConcurrencyConfig",
            json!({"FunctionName": "none", "ReservedConcurrencyMem": 1}),
            "ResourceNotFound.Function",
        ),
        ("GetReservedConcurrencyConfig", json!({"FunctionName": "none"}), "ResourceNotFound.Function"),
        ("DeleteReservedConcurrencyConfig", json!({}), "MissingParameter"),
    ];
    for (action, request, code) in table {
        assert_eq!(platform.code(action, request.clone()).await, code, "{action} {request}");
    }
    platform.stop().await;
}
