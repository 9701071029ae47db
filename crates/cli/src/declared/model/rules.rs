//! Schema rules that involve several keys; `check` enforces the same.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

/// Adds dependencies and exclusions among a function's keys.
pub fn function(schema: &mut Schema) {
    let needs = json!({"provisioned": ["publish"], "websocket_idle": ["websocket"], "rerun": ["async_run"]});
    schema.insert("dependencies".to_owned(), needs);
    let job = |key: &str, value: serde_json::Value| {
        let properties = json!({"job": {"const": true}, key: value});
        json!({"not": {"required": ["job", key], "properties": properties}})
    };
    let refused = json!([job("port", json!({"not": {"type": "null"}})), job("type", json!({"const": "web"}))]);
    schema.insert("allOf".to_owned(), refused);
}

/// Allows a number, a utilization with bounds, or only scheduled numbers.
pub fn provisioned(schema: &mut Schema) {
    let needs = json!({"utilization": ["max"], "max": ["utilization"], "min": ["utilization"]});
    schema.insert("dependencies".to_owned(), needs);
    schema.insert("not".to_owned(), json!({"required": ["number", "utilization"]}));
    let scheduled = json!({"required": ["at"], "properties": {"at": {"minItems": 1}}});
    let forms = json!([{"required": ["number"]}, {"required": ["utilization"]}, scheduled]);
    schema.insert("anyOf".to_owned(), forms);
}

/// Schema of an empty text or list.
pub fn empty() -> serde_json::Value {
    json!({"anyOf": [{"type": ["string"], "maxLength": 0}, {"type": "array", "maxItems": 0}]})
}

/// Schema of a reference to a secret.
pub struct SecretText;

impl JsonSchema for SecretText {
    fn schema_name() -> Cow<'static, str> {
        "SecretText".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[A-Za-z0-9_.-]+(@[1-9][0-9]*)?$|\$\{" })
    }
}
