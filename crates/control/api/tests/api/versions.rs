//! Versions and aliases: publish, route, call, distinguish, delete.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{Platform, code, redacted};

async fn active(platform: &Platform) {
    platform.deploy(json!({"FunctionName": "hello", "Description": "the function"})).await;
}

async fn publish(platform: &Platform) -> Value {
    let answer = platform.ok("PublishVersion", json!({"FunctionName": "hello"})).await["FunctionVersion"].clone();
    platform.finish_preparations().await;
    answer
}

fn of(name: &str, fields: Value) -> Value {
    let mut request = json!({"FunctionName": "hello", "Name": name});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

async fn called(platform: &Platform, fields: Value) -> String {
    let mut request = json!({"FunctionName": "hello"});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let result = platform.ok("Invoke", request).await["Result"]["RetMsg"].clone();
    let answer: Value = serde_json::from_str(result.as_str().unwrap()).unwrap();
    answer["version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_version_is_published_and_does_not_change_any_more() {
    let platform = Platform::start().await;
    active(&platform).await;
    let request = json!({"FunctionName": "hello", "Description": "first"});
    assert_json_snapshot!("published", redacted(platform.ok("PublishVersion", request).await));
    let one = json!({"FunctionName": "hello", "Qualifier": "1"});
    assert_eq!(platform.ok("GetFunction", one.clone()).await["Status"], "Publishing");
    platform.finish_preparations().await;
    let change = json!({"FunctionName": "hello", "MemorySize": 256});
    platform.ok("UpdateFunctionConfiguration", change).await;
    let found = platform.ok("GetFunction", one).await;
    assert_eq!((&found["Status"], &found["MemorySize"]), (&json!("Active"), &json!(128)));
    assert_eq!((&found["FunctionVersion"], &found["Qualifier"]), (&json!("1"), &json!("1")));
    assert_eq!(found["Description"], "first");
    let refused = platform.refused("PublishVersion", json!({"FunctionName": "hello"})).await;
    assert!(refused.starts_with("FailedOperation.PublishVersion: $LATEST of function default/hello is Updating"));
    platform.finish_preparations().await;
    assert_eq!(publish(&platform).await, "2");
    assert_eq!(called(&platform, json!({"Qualifier": "1"})).await, "1");
    assert_eq!(called(&platform, json!({})).await, "$LATEST");
    platform.stop().await;
}

#[tokio::test]
async fn a_version_is_published_under_a_number_and_of_what_was_seen_alone() {
    let platform = Platform::start().await;
    active(&platform).await;
    let revision = async || {
        let found = platform.ok("GetFunction", json!({"FunctionName": "hello"})).await;
        found["RevisionId"].as_str().unwrap().to_owned()
    };
    let request = |revision: &str, number: &str| json!({"FunctionName": "hello", "RevisionId": revision, "FunctionVersion": number});
    let first = revision().await;
    assert_eq!(platform.ok("PublishVersion", request(&first, "3")).await["FunctionVersion"], "3");
    platform.finish_preparations().await;
    let refused = platform.refused("PublishVersion", request(&first, "4")).await;
    assert!(
        refused.starts_with("FailedOperation.PublishVersion: function default/hello was changed or published since"),
        "{refused}"
    );
    let refused = platform.refused("PublishVersion", request(&revision().await, "2")).await;
    assert!(refused.contains("numbers from 4 on are free"), "{refused}");
    for number in ["0", "01", "+4", "-1", "1000001", "x"] {
        let refused = platform.refused("PublishVersion", request("", number)).await;
        assert!(refused.starts_with("InvalidParameterValue: FunctionVersion"), "{number}: {refused}");
    }
    let of_version = platform.ok("GetFunction", json!({"FunctionName": "hello", "Qualifier": "3"})).await;
    assert!(of_version.get("RevisionId").is_none(), "{of_version}");
    platform.stop().await;
}

#[tokio::test]
async fn versions_are_listed_in_order_and_in_pages() {
    let platform = Platform::start().await;
    active(&platform).await;
    for _ in 0..3 {
        publish(&platform).await;
    }
    let list = async |fields: Value| {
        let mut request = json!({"FunctionName": "hello"});
        request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let found = platform.ok("ListVersionByFunction", request).await;
        let names: Vec<_> = found["Versions"].as_array().unwrap().iter().map(|v| v["Version"].clone()).collect();
        assert_eq!(found["FunctionVersion"], json!(names));
        assert_eq!(found["TotalCount"], 4);
        json!(names)
    };
    assert_eq!(list(json!({})).await, json!(["3", "2", "1", "$LATEST"]));
    assert_eq!(list(json!({"Order": "ASC", "OrderBy": "AddTime"})).await, json!(["$LATEST", "1", "2", "3"]));
    assert_eq!(list(json!({"Order": "ASC", "Offset": 1, "Limit": 2})).await, json!(["1", "2"]));
    let all = platform.ok("ListVersionByFunction", json!({"FunctionName": "hello", "Limit": 1})).await;
    assert_json_snapshot!("versions", redacted(all));
    let order = json!({"FunctionName": "hello", "Order": "up"});
    assert_eq!(platform.code("ListVersionByFunction", order).await, "InvalidParameterValue.Order");
    platform.stop().await;
}

#[tokio::test]
async fn an_update_can_be_published_at_once() {
    let platform = Platform::start().await;
    active(&platform).await;
    let change = json!({"FunctionName": "hello", "MemorySize": 256, "Publish": "TRUE"});
    platform.ok("UpdateFunctionConfiguration", change).await;
    platform.finish_preparations().await;
    platform.finish_preparations().await;
    let one = platform.ok("GetFunction", json!({"FunctionName": "hello", "Qualifier": "1"})).await;
    assert_eq!((&one["Status"], &one["MemorySize"]), (&json!("Active"), &json!(256)));
    let image = json!({"FunctionName": "hello", "Publish": "TRUE", "Code": code("localhost:5000/ns/app:v2")});
    platform.ok("UpdateFunctionCode", image).await;
    platform.finish_preparations().await;
    assert_eq!(called(&platform, json!({"Qualifier": "2"})).await, "2");
    platform.stop().await;
}

#[tokio::test]
async fn an_alias_leads_by_weight_or_by_rule() {
    let platform = Platform::start().await;
    active(&platform).await;
    publish(&platform).await;
    publish(&platform).await;
    let made = platform.ok("CreateAlias", of("prod", json!({"FunctionVersion": "1", "Description": "users"}))).await;
    assert_eq!(made.as_object().unwrap().keys().collect::<Vec<_>>(), ["RequestId"]);
    assert_json_snapshot!("alias", redacted(platform.ok("GetAlias", of("prod", json!({}))).await));
    assert_eq!(called(&platform, json!({"Qualifier": "prod"})).await, "1");

    let weights = json!({"AdditionalVersionWeights": [{"Version": "2", "Weight": 1.0}]});
    let all_to_two = of("prod", json!({"FunctionVersion": "1", "RoutingConfig": weights}));
    platform.ok("UpdateAlias", all_to_two).await;
    let changed = platform.ok("GetAlias", of("prod", json!({}))).await;
    assert_eq!(changed["RoutingConfig"]["AdditionalVersionWeights"], weights["AdditionalVersionWeights"]);
    assert_eq!(changed["Description"], "users");
    assert_eq!(called(&platform, json!({"Qualifier": "prod"})).await, "2");

    let rule = json!({"Version": "2", "Key": "invoke.headers.User", "Method": "range", "Expression": "(10,20)"});
    let config = json!({"AddtionVersionMatchs": [rule]});
    platform.ok("UpdateAlias", of("prod", json!({"FunctionVersion": "1", "RoutingConfig": config}))).await;
    let shown = platform.ok("GetAlias", of("prod", json!({}))).await;
    assert_json_snapshot!("alias_with_a_rule", redacted(shown));
    let by_key = |key: &str| called(&platform, json!({"Qualifier": "prod", "RoutingKey": key}));
    assert_eq!(by_key(r#"{"invoke.headers.User": "11"}"#).await, "2");
    assert_eq!(by_key(r#"{"invoke.headers.User": "20"}"#).await, "1");
    assert_eq!(by_key(r#"{"user": "19"}"#).await, "2");
    assert_eq!(called(&platform, json!({"Qualifier": "prod"})).await, "1");

    // A request without a rule removes the present one: it contains the whole route.
    platform.ok("UpdateAlias", of("prod", json!({"FunctionVersion": "2"}))).await;
    assert_eq!(by_key(r#"{"user": "1"}"#).await, "2");
    let logs = platform.ok("GetFunctionLogs", json!({"FunctionName": "hello", "Qualifier": "prod"})).await;
    let of_two = platform.ok("GetFunctionLogs", json!({"FunctionName": "hello", "Qualifier": "2"})).await;
    assert_eq!((&logs["TotalCount"], &of_two["TotalCount"]), (&json!(7), &json!(4)));
    platform.stop().await;
}

#[tokio::test]
async fn an_event_runs_by_the_version_that_its_routing_key_chose() {
    let platform = Platform::start().await;
    active(&platform).await;
    publish(&platform).await;
    publish(&platform).await;
    let rule = json!({"Version": "2", "Key": "invoke.headers.user", "Method": "exact", "Expression": "beta"});
    let config = json!({"AddtionVersionMatchs": [rule]});
    platform.ok("CreateAlias", of("prod", json!({"FunctionVersion": "1", "RoutingConfig": config}))).await;
    for (key, qualifier) in [(Some("beta"), "2"), (Some("other"), "1"), (None, "prod")] {
        let mut request = json!({"FunctionName": "hello", "Qualifier": "prod", "InvocationType": "Event"});
        if let Some(key) = key {
            request["RoutingKey"] = json!({"user": key}).to_string().into();
        }
        let accepted = platform.ok("Invoke", request).await["Result"]["FunctionRequestId"].clone();
        let listed = json!({"FunctionName": "hello", "InvokeRequestId": accepted});
        let listed = platform.ok("ListAsyncEvents", listed).await;
        assert_eq!(listed["EventList"][0]["Qualifier"], qualifier, "{key:?}: {listed}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn default_is_led_elsewhere_and_stays() {
    let platform = Platform::start().await;
    active(&platform).await;
    publish(&platform).await;
    platform.ok("UpdateAlias", of("$DEFAULT", json!({"FunctionVersion": "1"}))).await;
    assert_eq!(called(&platform, json!({"Qualifier": "$DEFAULT"})).await, "1");
    let found = platform.ok("GetFunction", json!({"FunctionName": "hello", "Qualifier": "$DEFAULT"})).await;
    assert_eq!((&found["FunctionVersion"], &found["Qualifier"]), (&json!("1"), &json!("$DEFAULT")));
    assert_eq!(platform.code("DeleteAlias", of("$DEFAULT", json!({}))).await, "InvalidParameterValue.Alias");
    let again = of("$DEFAULT", json!({"FunctionVersion": "1"}));
    assert_eq!(platform.code("CreateAlias", again).await, "ResourceInUse.Alias");
    platform.stop().await;
}

#[tokio::test]
async fn aliases_are_listed_by_name_with_numbers_as_texts() {
    let platform = Platform::start().await;
    active(&platform).await;
    publish(&platform).await;
    publish(&platform).await;
    platform.ok("CreateAlias", of("prod", json!({"FunctionVersion": "1"}))).await;
    let weights = json!({"AdditionalVersionWeights": [{"Version": "2", "Weight": 0.5}]});
    platform.ok("CreateAlias", of("beta", json!({"FunctionVersion": "1", "RoutingConfig": weights}))).await;
    let list = async |fields: Value| {
        let found = platform.ok("ListAliases", of("", fields)).await;
        let names: Vec<_> = found["Aliases"].as_array().unwrap().iter().map(|alias| alias["Name"].clone()).collect();
        (json!(names), found["TotalCount"].clone())
    };
    assert_eq!(list(json!({})).await, (json!(["$DEFAULT", "beta", "prod"]), json!(3)));
    assert_eq!(list(json!({"Offset": "1", "Limit": "1"})).await, (json!(["beta"]), json!(3)));
    assert_eq!(list(json!({"FunctionVersion": "2"})).await, (json!(["beta"]), json!(1)));
    assert_eq!(list(json!({"FunctionVersion": "$LATEST"})).await, (json!(["$DEFAULT"]), json!(1)));
    let wrong = of("", json!({"Offset": "x"}));
    assert_eq!(platform.code("ListAliases", wrong).await, "InvalidParameterValue.Offset");
    platform.stop().await;
}

#[tokio::test]
async fn versions_and_aliases_in_use_or_missing_are_refused_with_their_codes() {
    let platform = Platform::start().await;
    active(&platform).await;
    publish(&platform).await;
    platform.ok("CreateAlias", of("prod", json!({"FunctionVersion": "1"}))).await;
    let version = |qualifier: &str| json!({"FunctionName": "hello", "Qualifier": qualifier});
    let table = [
        ("CreateAlias", of("prod", json!({"FunctionVersion": "1"})), "ResourceInUse.Alias"),
        ("CreateAlias", of("new", json!({"FunctionVersion": "9"})), "ResourceNotFound.FunctionVersion"),
        ("CreateAlias", of("1new", json!({"FunctionVersion": "1"})), "InvalidParameterValue.Name"),
        ("CreateAlias", of("new", json!({})), "MissingParameter"),
        ("UpdateAlias", of("none", json!({"FunctionVersion": "1"})), "ResourceNotFound.Alias"),
        ("GetAlias", of("none", json!({})), "ResourceNotFound.Alias"),
        ("DeleteAlias", of("none", json!({})), "ResourceNotFound.Alias"),
        ("DeleteFunctionVersion", version("1"), "UnsupportedOperation.AliasBind"),
        ("DeleteFunction", version("1"), "UnsupportedOperation.AliasBind"),
        ("DeleteFunctionVersion", version("7"), "ResourceNotFound.Qualifier"),
        ("DeleteFunctionVersion", version("$LATEST"), "InvalidParameterValue.Qualifier"),
        ("DeleteFunctionVersion", version("prod"), "InvalidParameterValue.Qualifier"),
        ("DeleteFunctionVersion", json!({"FunctionName": "hello"}), "MissingParameter"),
        ("PublishVersion", json!({"FunctionName": "nobody"}), "ResourceNotFound.Function"),
        ("ListAliases", json!({"FunctionName": "nobody"}), "ResourceNotFound.Function"),
    ];
    for (action, request, expected) in table {
        assert_eq!(platform.code(action, request.clone()).await, expected, "{action} {request}");
    }
    platform.ok("DeleteAlias", of("prod", json!({}))).await;
    platform.ok("DeleteFunction", version("1")).await;
    assert_eq!(platform.code("Invoke", version("1")).await, "ResourceNotFound.Qualifier");
    platform.ok("GetFunction", json!({"FunctionName": "hello"})).await;
    platform.stop().await;
}
