//! Custom domains: create, get, list, update, delete.

use serde_json::{Value, json};

use crate::support::Platform;

fn request(domain: &str, fields: Value) -> Value {
    let endpoint = json!({
        "Namespace": "default", "FunctionName": "hello", "Qualifier": "$DEFAULT", "PathMatch": "/*",
        "PathRewrite": [{"Path": "/api/*", "Type": "WildcardRules", "Rewrite": "/$"}],
    });
    let mut request = json!({"Domain": domain, "Protocol": "HTTP", "EndpointsConfig": [endpoint]});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

async fn names(platform: &Platform, fields: Value) -> (Value, Vec<String>) {
    let answer = platform.ok("ListCustomDomains", fields).await;
    let names =
        answer["Domains"].as_array().unwrap().iter().map(|domain| domain["Domain"].as_str().unwrap().to_owned());
    (answer["Total"].clone(), names.collect())
}

#[tokio::test]
async fn a_domain_is_made_shown_changed_and_deleted() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let fields = json!({"Tags": [{"Key": "team", "Value": "blue"}], "CertConfig": {"CertificateId": "main"}});
    let made = request("Shop.Example.com", fields);
    platform.ok("CreateCustomDomain", made.clone()).await;
    let shown = platform.ok("GetCustomDomain", json!({"Domain": "shop.example.com"})).await;
    assert_eq!((&shown["Domain"], &shown["Protocol"]), (&json!("shop.example.com"), &json!("HTTP")));
    for field in ["EndpointsConfig", "Tags", "CertConfig"] {
        assert_eq!(shown[field], made[field], "{field}");
    }
    assert_eq!(shown["WafConfig"]["WafOpen"], "CLOSE");
    let change = json!({"Domain": "shop.example.com", "Protocol": "HTTP&HTTPS"});
    platform.ok("UpdateCustomDomain", change).await;
    let changed = platform.ok("GetCustomDomain", json!({"Domain": "shop.example.com"})).await;
    assert_eq!(changed["Protocol"], "HTTP&HTTPS");
    assert_eq!((&changed["EndpointsConfig"], &changed["Tags"]), (&made["EndpointsConfig"], &made["Tags"]));
    platform.ok("DeleteCustomDomain", json!({"Domain": "shop.example.com"})).await;
    let code = platform.code("GetCustomDomain", json!({"Domain": "shop.example.com"})).await;
    assert_eq!(code, "FailedOperation.Domain.UnExist");
    platform.stop().await;
}

#[tokio::test]
async fn domains_are_listed_in_order_in_pages_and_by_what_they_have() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    assert_eq!(names(&platform, json!({})).await, (json!(0), vec![]));
    for name in ["b.example.com", "a.example.com", "c.example.com"] {
        platform.ok("CreateCustomDomain", request(name, json!({}))).await;
        // Times have millisecond resolution; the order shows only if they differ.
        let made_ms = platform.store.catalog().load().domains[name].added_ms;
        while now_ms() <= made_ms {
            tokio::task::yield_now().await;
        }
    }
    let (total, all) = names(&platform, json!({"Order": "ASC"})).await;
    assert_eq!((total, all), (json!(3), ["b", "a", "c"].map(|name| format!("{name}.example.com")).to_vec()));
    let (total, page) = names(&platform, json!({"Offset": 1, "Limit": 1})).await;
    assert_eq!((total, page), (json!(3), vec!["a.example.com".to_owned()]));
    let filters =
        json!([{"Name": "Domain", "Values": ["c.example.com", "x.y"]}, {"Name": "FunctionName", "Values": ["hello"]}]);
    assert_eq!(names(&platform, json!({"Filters": filters})).await.1, ["c.example.com"]);
    let filters = json!([{"Name": "Namespace", "Values": ["other"]}]);
    assert_eq!(names(&platform, json!({"Filters": filters})).await.0, 0);
    let filters = json!([{"Name": "Color", "Values": ["red"]}]);
    let code = platform.code("ListCustomDomains", json!({"Filters": filters})).await;
    assert_eq!(code, "InvalidParameterValue.Filters");
    platform.stop().await;
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_a_domain_has_its_code() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    platform.ok("CreateCustomDomain", request("a.example.com", json!({}))).await;
    let endpoint = |function: &str, qualifier: &str| json!({"EndpointsConfig": [{"FunctionName": function, "Qualifier": qualifier, "PathMatch": "/"}]});
    let table = [
        ("CreateCustomDomain", json!({}), "MissingParameter"),
        ("CreateCustomDomain", request("*.example.com", json!({})), "InvalidParameterValue.Domain"),
        ("CreateCustomDomain", request("*.default.fn.localhost", json!({})), "InvalidParameterValue.Domain"),
        ("CreateCustomDomain", request("Web.default.FN.localhost", json!({})), "InvalidParameterValue.Domain"),
        ("CreateCustomDomain", request("a.example.com", json!({})), "ResourceInUse"),
        ("CreateCustomDomain", request("b.example.com", json!({"Protocol": "HTTPS"})), "MissingParameter"),
        ("CreateCustomDomain", request("b.example.com", endpoint("none", "1")), "ResourceNotFound.Function"),
        ("CreateCustomDomain", request("b.example.com", endpoint("hello", "1")), "ResourceNotFound.Qualifier"),
        ("UpdateCustomDomain", json!({"Domain": "b.example.com"}), "FailedOperation.Domain.UnExist"),
        (
            "UpdateCustomDomain",
            json!({"Domain": "a.example.com", "CertConfig": {"CertificateId": "other"}}),
            "FailedOperation.Ssl",
        ),
        ("DeleteCustomDomain", json!({"Domain": "b.example.com"}), "FailedOperation.Domain.UnExist"),
    ];
    // These are hosts of no function.
    for host in ["shop.fn.localhost", "a.b.c.fn.localhost", "x.otherfn.localhost"] {
        platform.ok("CreateCustomDomain", request(host, json!({}))).await;
    }
    for (action, request, code) in table {
        assert_eq!(platform.code(action, request.clone()).await, code, "{action} {request}");
    }
    platform.stop().await;
}
