//! Tests of the filters of a list of functions.

use serde_json::json;
use types::{FunctionId, FunctionKey, FunctionRecord, ImageSpec, ImageType, Namespace, VersionName, VersionRecord};

use super::*;
use crate::validate::configuration;

fn filter(name: &str, values: &[&str]) -> Filter {
    Filter { name: name.to_owned(), values: values.iter().map(|value| (*value).to_owned()).collect() }
}

fn planned(filters: &[Filter]) -> Result<(FunctionQuery, Vec<Condition>), String> {
    let mut query = FunctionQuery::all(Namespace::default_namespace());
    let conditions = plan(filters, &mut query).map_err(|error| {
        assert_eq!(error.code.name, "InvalidParameterValue.Filters");
        error.message
    })?;
    Ok((query, conditions))
}

fn function(tags: &[(&str, &str)], carried: Value) -> ListedFunction {
    let id = FunctionId::random();
    let image = ImageSpec {
        image_type: ImageType::Personal,
        uri: "r.io/a:v1".to_owned(),
        registry_id: None,
        command: None,
        args: None,
        accelerate: false,
        port: 9000,
    };
    let mut spec = configuration::default_for(image);
    spec.carried = carried.as_object().cloned().expect("an object");
    ListedFunction {
        record: FunctionRecord {
            id: id.clone(),
            key: FunctionKey { namespace: Namespace::default_namespace(), name: "hello".parse().expect("valid") },
            kind: FunctionKind::Event,
            protocol: None,
            async_run: false,
            trace: false,
            tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            added_ms: 0,
            modified_ms: 0,
        },
        latest: VersionRecord {
            function_id: id,
            version: VersionName::Latest,
            status: Status::Active,
            reasons: Vec::new(),
            generation: 1,
            desired: spec,
            resolve: false,
            serving: None,
            added_ms: 0,
            modified_ms: 0,
        },
    }
}

fn matches(filters: &[Filter], function: &ListedFunction) -> bool {
    let (_, conditions) = planned(filters).expect("valid filters");
    conditions.iter().all(|condition| condition.matches(function))
}

#[test]
fn what_the_store_knows_goes_into_its_query() {
    let (query, rest) = planned(&[
        filter("Status", &["Active", "UpdateFailed"]),
        filter("FunctionType", &["HTTP"]),
        filter("TraceEnable", &["TRUE"]),
        filter("AsyncRunEnable", &["TRUE", "FALSE"]),
        filter("Runtime", &["Python3.6", "CustomImage"]),
    ])
    .expect("valid");
    assert_eq!(query.statuses, [Status::Active, Status::UpdateFailed]);
    assert_eq!(query.kinds, [FunctionKind::Http]);
    assert_eq!((query.trace, query.async_run), (Some(true), None));
    assert_eq!(rest, []);
}

#[test]
fn the_rest_looks_at_labels_and_kept_objects() {
    let plain = function(&[], json!({}));
    let set = function(
        &[("owner", "me"), ("status", "dev")],
        json!({
            "Role": "r1", "VpcConfig": {"VpcId": "vpc-1", "SubnetId": "s-1"},
            "PublicNetConfig": {"PublicNetStatus": "DISABLE"},
            "CfsConfig": {"CfsInsList": [{"CfsId": "c1", "MountInsId": "m1"}]}
        }),
    );
    for (name, values) in [
        ("tag-owner", &["you", "me"][..]),
        ("tag-status", &["dev"]),
        ("Role", &["r1"]),
        ("VpcId", &["vpc-1"]),
        ("PublicNetStatus", &["DISABLE"]),
        ("CfsId", &["c1"]),
        ("CfsMountInsId", &["m1"]),
    ] {
        let filters = [filter(name, values)];
        assert!(matches(&filters, &set), "{name}");
        assert!(!matches(&filters, &plain), "{name}");
    }
    assert!(matches(&[filter("PublicNetStatus", &["ENABLE"])], &plain));
    assert!(!matches(&[filter("tag-owner", &["me"]), filter("Role", &["other"])], &set));
    for never in [filter("Runtime", &["Python3.6"]), filter("Eip", &["1.2.3.4"])] {
        assert!(!matches(&[never], &set));
    }
}

#[test]
fn wrong_filters_are_named() {
    let message = |filters: &[Filter]| planned(filters).expect_err("wrong");
    assert!(
        message(&[filter("Colour", &["red"])]).starts_with("Filters.0.Name: \"Colour\" is not a filter; use Status")
    );
    assert_eq!(message(&[filter("tag-", &["x"])]).split(';').next(), Some("Filters.0.Name: \"tag-\" is not a filter"));
    assert_eq!(message(&[filter("Status", &["Up"])]), "Filters.0.Values.0: \"Up\" is not a state of a function");
    assert_eq!(message(&[filter("Role", &["a", "b"])]), "Filters.0.Values: there are 2 values; use 1 to 1");
    assert_eq!(message(&[filter("Status", &[])]), "Filters.0.Values: there are 0 values; use 1 to 20");
    let twice = [filter("Role", &["a"]), filter("Role", &["b"])];
    assert_eq!(message(&twice), "Filters.1.Name: \"Role\" is given more than once");
    let many: Vec<_> = (0..11).map(|n| filter(&format!("tag-{n}"), &["x"])).collect();
    assert_eq!(message(&many), "Filters: there are 11; at most 10 are allowed");
}
