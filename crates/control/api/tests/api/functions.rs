//! The lifecycle of a function.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::{Platform, code, redacted};

async fn get(platform: &Platform, name: &str) -> Value {
    platform.ok("GetFunction", json!({ "FunctionName": name })).await
}

#[tokio::test]
async fn a_bare_event_function_shows_every_field_of_the_contract() {
    let platform = Platform::start().await;
    let created =
        platform.ok("CreateFunction", json!({"FunctionName": "hello", "Code": code("localhost:5000/ns/app:v1")})).await;
    assert_eq!(created.as_object().unwrap().keys().collect::<Vec<_>>(), ["RequestId"]);
    assert_json_snapshot!("creating", redacted(get(&platform, "hello").await));
    platform.finish_preparations().await;
    let active = get(&platform, "hello").await;
    assert_eq!(active["Status"], "Active");
    let digest = "07".repeat(32);
    assert_eq!(active["ImageConfig"]["ImageUri"], format!("localhost:5000/ns/app:v1@sha256:{digest}"));
    assert_eq!(active["CodeSize"], 4_711);
    platform.stop().await;
}

#[tokio::test]
async fn a_web_function_with_every_setting_comes_back_as_it_was_given() {
    let platform = Platform::start().await;
    let request = json!({
        "FunctionName": "shop", "Type": "HTTP", "Description": "the shop", "MemorySize": 512, "Timeout": 30,
        "InitTimeout": 60, "ProtocolType": "WS", "ProtocolParams": {"WSParams": {"IdleTimeOut": 20}},
        "InstanceConcurrencyConfig": {"DynamicEnabled": "FALSE", "MaxConcurrency": 20},
        "Environment": {"Variables": [{"Key": "MODE", "Value": "fast"}]}, "Role": "SCF_QcsRole",
        "VpcConfig": {"VpcId": "", "SubnetId": ""}, "TraceEnable": "TRUE", "DnsCache": "FALSE",
        "PublicNetConfig": {"PublicNetStatus": "DISABLE"}, "IntranetConfig": {"IpFixed": "DISABLE"},
        "DeadLetterConfig": {"Type": "", "Name": ""}, "Tags": [{"Key": "team", "Value": "a"}],
        "ClsLogsetId": "", "ClsTopicId": "", "Handler": "main", "Runtime": "CustomImage", "Layers": [],
        "CfsConfig": {"CfsInsList": []},
        "Code": {"ImageConfig": {"ImageType": "enterprise", "RegistryId": "tcr-1", "ImageUri": "r.io/ns/app:v1",
            "Command": "python3", "Args": "-u app.py", "ContainerImageAccelerate": true, "ImagePort": 8080}},
        "DeployMode": "image", "DiskSize": 512, "NodeType": "CPU", "Stamp": "MINI_APP"
    });
    platform.ok("CreateFunction", request).await;
    assert_json_snapshot!("every_setting", redacted(get(&platform, "shop").await));
    platform.stop().await;
}

#[tokio::test]
async fn image_and_settings_are_one_change_or_none() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello", "Timeout": 5, "Description": "old"})).await;
    let both = |timeout: i64| {
        let environment = json!({"Variables": [{"Key": "A", "Value": "1"}]});
        json!({"FunctionName": "hello", "Code": code("localhost:5000/ns/app:v2"), "Timeout": timeout, "Environment": environment})
    };
    let refused = platform.refused("UpdateFunctionCode", both(901)).await;
    assert!(refused.starts_with("LimitExceeded.Timeout: "), "{refused}");
    let before = get(&platform, "hello").await;
    assert_eq!((&before["Status"], &before["Timeout"]), (&json!("Active"), &json!(5)));
    platform.ok("UpdateFunctionCode", both(9)).await;
    let after = get(&platform, "hello").await;
    assert_eq!(
        (&after["Status"], &after["Timeout"], &after["Description"]),
        (&json!("Updating"), &json!(9), &json!("old"))
    );
    assert_eq!(after["ImageConfig"]["ImageUri"], "localhost:5000/ns/app:v2");
    assert_eq!(after["Environment"]["Variables"][0]["Key"], "A");
    platform.finish_preparations().await;
    assert_eq!(get(&platform, "hello").await["Status"], "Active");
    platform.stop().await;
}

#[tokio::test]
async fn a_failed_preparation_shows_its_reason_and_can_be_mended() {
    let platform = Platform::start().await;
    platform.ok("CreateFunction", json!({"FunctionName": "hello", "Code": code("localhost:5000/ns/app:v1")})).await;
    platform.fail_preparations().await;
    let failed = get(&platform, "hello").await;
    assert_eq!(failed["Status"], "CreateFailed");
    assert_eq!(failed["StatusReasons"], json!([{"ErrorCode": "PullImageFailed", "ErrorMessage": "no such tag: v1"}]));
    platform.ok("UpdateFunctionCode", json!({"FunctionName": "hello", "Code": code("localhost:5000/ns/app:v2")})).await;
    assert_eq!(get(&platform, "hello").await["Status"], "Creating");
    platform.stop().await;
}

#[tokio::test]
async fn an_update_of_the_configuration_leaves_out_what_it_leaves_out() {
    let platform = Platform::start().await;
    let environment = json!({"Variables": [{"Key": "A", "Value": "1"}]});
    platform
        .deploy(json!({"FunctionName": "hello", "Timeout": 5, "Role": "r", "Description": "old", "Environment": environment}))
        .await;
    let change = json!({"FunctionName": "hello", "MemorySize": 256, "Description": "", "Role": ""});
    platform.ok("UpdateFunctionConfiguration", change).await;
    let changed = get(&platform, "hello").await;
    assert_eq!((&changed["Status"], &changed["MemorySize"]), (&json!("Updating"), &json!(256)));
    assert_eq!((&changed["Timeout"], &changed["Environment"]), (&json!(5), &environment));
    assert_eq!((&changed["Role"], &changed["Description"]), (&json!(""), &json!("")));
    platform.stop().await;
}

#[tokio::test]
async fn an_update_while_another_is_prepared_is_refused_with_the_code_of_its_action() {
    let platform = Platform::start().await;
    let name = json!({"FunctionName": "hello", "Code": code("localhost:5000/ns/app:v1")});
    platform.ok("CreateFunction", name.clone()).await;
    assert_eq!(platform.code("UpdateFunctionCode", name.clone()).await, "FailedOperation.UpdateFunctionCode");
    let refused = platform.refused("UpdateFunctionConfiguration", name).await;
    let expected =
        "FailedOperation.UpdateFunctionConfiguration: function default/hello is Creating and cannot be changed now";
    assert!(refused.starts_with(expected), "{refused}");
    platform.stop().await;
}

#[tokio::test]
async fn a_name_is_taken_until_its_function_is_gone() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let again = json!({"FunctionName": "hello", "Code": code("localhost:5000/ns/app:v1")});
    assert_eq!(platform.code("CreateFunction", again.clone()).await, "ResourceInUse.Function");
    platform.ok("DeleteFunction", json!({"FunctionName": "hello"})).await;
    let refused = platform.refused("CreateFunction", again.clone()).await;
    assert!(refused.starts_with("ResourceInUse.Function: ") && refused.contains("being deleted"), "{refused}");
    platform.finish_deletions().await;
    assert_eq!(platform.code("GetFunction", json!({"FunctionName": "hello"})).await, "ResourceNotFound.Function");
    platform.ok("CreateFunction", again).await;
    platform.stop().await;
}

#[tokio::test]
async fn versions_and_aliases_that_are_not_there_are_told_apart() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello"})).await;
    let named = |qualifier: &str| json!({"FunctionName": "hello", "Qualifier": qualifier});
    assert_eq!(platform.ok("GetFunction", named("$DEFAULT")).await["FunctionVersion"], "$LATEST");
    assert_eq!(platform.code("GetFunction", named("1")).await, "ResourceNotFound.Version");
    assert_eq!(platform.code("GetFunction", named("prod")).await, "ResourceNotFound.Qualifier");
    assert_eq!(platform.code("DeleteFunction", named("1")).await, "ResourceNotFound.Qualifier");
    assert_eq!(platform.code("DeleteFunction", named("$LATEST")).await, "InvalidParameterValue.Qualifier");
    platform.ok("GetFunction", json!({"FunctionName": "hello"})).await;
    platform.stop().await;
}

#[tokio::test]
async fn a_copy_has_the_content_that_is_served() {
    let platform = Platform::start().await;
    platform.deploy(json!({"FunctionName": "hello", "Timeout": 9, "Tags": [{"Key": "team", "Value": "a"}]})).await;
    platform.ok("CreateNamespace", json!({"Namespace": "prod"})).await;
    let copy =
        json!({"FunctionName": "hello", "NewFunctionName": "twin", "TargetNamespace": "prod", "Description": "a twin"});
    platform.ok("CopyFunction", copy.clone()).await;
    let twin = platform.ok("GetFunction", json!({"FunctionName": "twin", "Namespace": "prod"})).await;
    assert_eq!((&twin["Timeout"], &twin["Description"]), (&json!(9), &json!("a twin")));
    assert_eq!(twin["Tags"], json!([{"Key": "team", "Value": "a"}]));
    let digest = "07".repeat(32);
    assert_eq!(twin["ImageConfig"]["ImageUri"], format!("localhost:5000/ns/app:v1@sha256:{digest}"));
    let refused = platform.code("CopyFunction", copy.clone()).await;
    assert_eq!(refused, "ResourceInUse.FunctionName");
    let mut replacing = copy;
    replacing["Override"] = json!(true);
    replacing["CopyConfiguration"] = json!(false);
    platform.ok("CopyFunction", replacing).await;
    let twin = platform.ok("GetFunction", json!({"FunctionName": "twin", "Namespace": "prod"})).await;
    assert_eq!((&twin["Timeout"], &twin["Status"]), (&json!(3), &json!("Creating")));
    platform.stop().await;
}

#[tokio::test]
async fn what_cannot_be_copied_has_its_code() {
    let platform = Platform::start().await;
    platform.ok("CreateFunction", json!({"FunctionName": "raw", "Code": code("localhost:5000/ns/app:v1")})).await;
    let copy = |from: &str, to: &str| json!({"FunctionName": from, "NewFunctionName": to});
    assert_eq!(platform.code("CopyFunction", copy("raw", "twin")).await, "FailedOperation.CopyFailed");
    assert_eq!(platform.code("CopyFunction", copy("none", "twin")).await, "ResourceNotFound.Function");
    assert_eq!(platform.code("CopyFunction", copy("raw", "raw")).await, "UnsupportedOperation.CopyFunction");
    let mut away = copy("raw", "twin");
    away["TargetRegion"] = json!("ap-shanghai");
    assert_eq!(platform.code("CopyFunction", away).await, "UnsupportedOperation.Region");
    platform.stop().await;
}

#[tokio::test]
async fn a_copy_carries_every_setting_but_no_versions_and_no_aliases() {
    let platform = Platform::start().await;
    let request = json!({
        "FunctionName": "shop", "Type": "HTTP", "Description": "the shop", "MemorySize": 512, "Timeout": 30,
        "InitTimeout": 60, "ProtocolType": "WS", "ProtocolParams": {"WSParams": {"IdleTimeOut": 20}},
        "InstanceConcurrencyConfig": {"DynamicEnabled": "FALSE", "MaxConcurrency": 20}, "Role": "SCF_QcsRole",
        "Environment": {"Variables": [{"Key": "MODE", "Value": "fast"}]}, "TraceEnable": "TRUE",
        "PublicNetConfig": {"PublicNetStatus": "DISABLE"}, "Tags": [{"Key": "team", "Value": "a"}],
    });
    platform.deploy(request).await;
    platform.ok("PublishVersion", json!({"FunctionName": "shop"})).await;
    platform.ok("CreateAlias", json!({"FunctionName": "shop", "Name": "prod", "FunctionVersion": "1"})).await;
    platform.ok("CopyFunction", json!({"FunctionName": "shop", "NewFunctionName": "twin"})).await;
    platform.finish_preparations().await;
    let (mut shop, mut twin) = (redacted(get(&platform, "shop").await), redacted(get(&platform, "twin").await));
    for function in [&mut shop, &mut twin] {
        function["FunctionName"] = Value::Null;
    }
    assert_eq!(twin, shop);
    let versions = platform.ok("ListVersionByFunction", json!({"FunctionName": "twin"})).await;
    assert_eq!(versions["FunctionVersion"], json!(["$LATEST"]));
    assert_eq!(platform.ok("ListAliases", json!({"FunctionName": "twin"})).await["TotalCount"], 1);
    platform.stop().await;
}

#[tokio::test]
async fn command_and_args_keep_their_words_as_lists() {
    let platform = Platform::start().await;
    let image = |fields: Value| {
        let mut image = json!({"ImageType": "personal", "ImageUri": "r.io/ns/app:v1"});
        image.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"FunctionName": "hello", "Code": {"ImageConfig": image}})
    };
    let lists = json!({"CommandList": ["sh", "-c"], "ArgsList": ["echo \"a b\"", ""]});
    platform.ok("CreateFunction", image(lists)).await;
    let shown = get(&platform, "hello").await["ImageConfig"].clone();
    assert_eq!((&shown["Command"], &shown["CommandList"]), (&json!(""), &json!(["sh", "-c"])));
    assert_eq!((&shown["Args"], &shown["ArgsList"]), (&json!(""), &json!(["echo \"a b\"", ""])));
    platform.finish_preparations().await;
    // An answer is accepted as a request.
    platform.ok("UpdateFunctionCode", json!({"FunctionName": "hello", "Code": {"ImageConfig": shown}})).await;
    let both = image(json!({"Command": "sh", "CommandList": ["sh"]}));
    assert_eq!(platform.code("UpdateFunctionCode", both).await, "InvalidParameterValue.CommandList");
    platform.stop().await;
}

#[tokio::test]
async fn a_runtime_that_no_instance_would_get_is_refused() {
    let platform = Platform::start().await;
    let asks = |name: &str| {
        let tags = json!([{"Key": "sampan:runtime", "Value": name}]);
        json!({"FunctionName": name, "Code": code("localhost:5000/ns/app:v1"), "Tags": tags})
    };
    platform.ok("CreateFunction", asks("runc")).await;
    platform.ok("CreateFunction", asks("sampan")).await;
    let refused = platform.refused("CreateFunction", asks("crun")).await;
    assert!(refused.contains("crun") && refused.contains("one of sampan, runc"), "{refused}");
    platform.stop().await;
}
