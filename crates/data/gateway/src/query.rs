//! The query of a URL as JSON: one text per name, or a list where a name repeats. Pure.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Parses `a=1&b=2` as forms encode it: percent-encoded, `+` for a space. Bytes that are not UTF-8
/// are replaced.
pub fn to_json(query: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Value::String(decoded(value));
        match fields.entry(decoded(name)) {
            serde_json::map::Entry::Vacant(entry) => {
                entry.insert(value);
            }
            serde_json::map::Entry::Occupied(mut entry) => match entry.get_mut() {
                Value::Array(values) => values.push(value),
                first => *first = Value::Array(vec![first.take(), value]),
            },
        }
    }
    fields
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_repeated_names_make_a_list() {
        for (query, expected) in [
            ("", json!({})),
            ("a=1&b=x%20y+z", json!({"a": "1", "b": "x y z"})),
            ("a&&b=&=c", json!({"a": "", "b": "", "": "c"})),
            ("a=1&a=2&a=3", json!({"a": ["1", "2", "3"]})),
            ("%61=%2B%zz%ff", json!({"a": "+%zz\u{fffd}"})),
            ("a=b=c", json!({"a": "b=c"})),
        ] {
            assert_eq!(Value::Object(to_json(query)), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(query in "\\PC{0,100}") {
            let _ = to_json(&query);
        }
    }
}
