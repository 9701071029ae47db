//! A list of egress destinations as an argument.

use std::str::FromStr;

use serde_json::Value;

/// Egress list without restrictions beyond those of the operator.
const ANY: &str = "any";

/// Destinations of one `--egress`; at least one, so that a variable without a value does not open
/// everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destinations(Vec<String>);

impl FromStr for Destinations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let entries: Vec<String> = entries.map(str::to_owned).collect();
        match entries.as_slice() {
            [] => Err("it is empty; write none to allow nothing, or any to take the list away".to_owned()),
            [_, _, ..] if entries.iter().any(|entry| entry == ANY) => {
                Err("any stands alone: it takes the list away".to_owned())
            }
            _ => Ok(Self(entries)),
        }
    }
}

/// Builds the list of all given ones; `any` becomes an empty list, which removes the restriction.
pub fn list(given: &[Destinations]) -> Option<Value> {
    let entries: Vec<&str> = given.iter().flat_map(|Destinations(entries)| entries).map(String::as_str).collect();
    match entries.as_slice() {
        [] => None,
        [ANY] => Some(Value::Array(Vec::new())),
        entries => Some(entries.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_has_commas_and_is_never_empty() {
        let listed = |texts: &[&str]| {
            let given: Result<Vec<_>, _> = texts.iter().map(|text| text.parse()).collect();
            given.map(|given| list(&given))
        };
        assert_eq!(listed(&[]), Ok(None));
        assert_eq!(listed(&["any"]), Ok(Some(json!([]))));
        assert_eq!(listed(&["none"]), Ok(Some(json!(["none"]))));
        assert_eq!(
            listed(&["10.0.0.0/8, a.example,", "b.example"]),
            Ok(Some(json!(["10.0.0.0/8", "a.example", "b.example"])))
        );
        assert!(listed(&["any,10.0.0.0/8"]).is_err_and(|error| error.contains("stands alone")));
        for text in ["", " ", ",", " , "] {
            assert!(listed(&["10.0.0.0/8", text]).is_err_and(|error| error.contains("write none")), "{text:?}");
        }
    }
}
