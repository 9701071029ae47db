//! What a file may have where the types have one thing: a variable for a number, a truth value or a
//! word, and digits for a text.

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Value, json};

/// A text with a variable.
const VARIABLE: &str = r"\$\{";

/// Widens each schema of one type; a custom schema with a list of types stays as it is.
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

/// The type of a schema that has one, and whether it may be null.
fn one_type(types: &Value) -> Option<(String, bool)> {
    match types {
        Value::String(word) => Some((word.clone(), false)),
        // A list without null is that of a custom schema.
        Value::Array(words) => match words.as_slice() {
            [Value::String(word), Value::String(null)] if null == "null" => Some((word.clone(), true)),
            _ => None,
        },
        _ => None,
    }
}
