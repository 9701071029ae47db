//! Field-by-field differences of two values.

use serde::Serialize;
use serde_json::Value;

/// A field that differs; `null` on the side where it is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    pub field: String,
    pub from: Value,
    pub to: Value,
}

/// Compares two values: objects key by key, everything else as a whole.
pub fn between(from: &impl Serialize, to: &impl Serialize) -> Vec<Difference> {
    let value = |of: serde_json::Result<Value>| of.expect("the model has texts, numbers and maps with text keys");
    let mut found = Vec::new();
    compare(String::new(), &value(serde_json::to_value(from)), &value(serde_json::to_value(to)), &mut found);
    found
}

fn compare(field: String, from: &Value, to: &Value, found: &mut Vec<Difference>) {
    let empty = serde_json::Map::new();
    let (a, b) = match (from, to) {
        (Value::Object(a), Value::Object(b)) => (a, b),
        (Value::Object(a), Value::Null) if !field.is_empty() => (a, &empty),
        (Value::Null, Value::Object(b)) if !field.is_empty() => (&empty, b),
        _ if from == to => return,
        _ => return found.push(Difference { field, from: from.clone(), to: to.clone() }),
    };
    let added = b.keys().filter(|key| !a.contains_key(*key));
    for key in a.keys().chain(added) {
        let name = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
        let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
        compare(name, &of(a), &of(b), found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_compared_by_key() {
        let from = json!({"a": 1, "b": {"x": "1", "y": "2"}, "c": [1, 2], "d": null});
        let to = json!({"c": [2, 1], "b": {"y": "2", "z": "3"}, "a": 1});
        let found = between(&from, &to);
        let fields: Vec<_> = found.iter().map(|d| (d.field.as_str(), d.from.clone(), d.to.clone())).collect();
        let wanted =
            [("b.x", json!("1"), Value::Null), ("b.z", Value::Null, json!("3")), ("c", json!([1, 2]), json!([2, 1]))];
        assert_eq!(fields, wanted);
        assert_eq!(between(&json!({"e": {"k": 1}}), &json!({})).len(), 1);
        assert!(between(&to, &to).is_empty());
    }
}
