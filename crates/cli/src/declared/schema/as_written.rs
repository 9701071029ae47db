//! Adapts the schema to spellings that files may use: a variable in place of a number, truth value
//! or word, and digits in place of a text.

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Value, json};

/// Pattern of a text with a variable.
const VARIABLE: &str = r"\$\{";

/// Widens each schema with a single type; custom schemas with a list of types are unchanged.
#[derive(Debug, Clone)]
pub struct AsWritten;

impl Transform for AsWritten {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(words) = schema.get_mut("oneOf").and_then(Value::as_array_mut)
            && words.iter().all(|word| word.get("const").is_some())
        {
            words.push(variable());
            return;
        }
        if let Some(words) = schema.remove("enum") {
            schema.remove("type");
            schema.insert("anyOf".to_owned(), json!([{"type": "string", "enum": words}, variable()]));
            return;
        }
        let Some((word, null)) = schema.get("type").and_then(one_type) else { return };
        let (types, pattern) = match word.as_str() {
            "string" => (vec!["string", "integer"], None),
            "integer" | "number" | "boolean" => (vec![word.as_str(), "string"], Some(VARIABLE)),
            _ => return,
        };
        let types: Vec<&str> = types.into_iter().chain(null.then_some("null")).collect();
        schema.insert("type".to_owned(), json!(types));
        if schema.remove("format").as_ref().and_then(Value::as_str) == Some("uint32") {
            schema.insert("maximum".to_owned(), u32::MAX.into());
        }
        if let Some(pattern) = pattern {
            schema.insert("pattern".to_owned(), pattern.into());
        }
    }
}

fn variable() -> Value {
    json!({"type": "string", "pattern": VARIABLE})
}

/// The single type of a schema, and whether it is nullable.
fn one_type(types: &Value) -> Option<(String, bool)> {
    match types {
        Value::String(word) => Some((word.clone(), false)),
        // A list of types without null belongs to a custom schema.
        Value::Array(words) => match words.as_slice() {
            [Value::String(word), Value::String(null)] if null == "null" => Some((word.clone(), true)),
            _ => None,
        },
        _ => None,
    }
}
