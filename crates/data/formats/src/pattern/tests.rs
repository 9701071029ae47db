//! Matching events, and refused patterns.

use proptest::prelude::*;
use serde_json::json;

use super::parse::RULES;
use super::*;

fn event() -> Value {
    json!({
        "source": "shop.orders", "type": "Paid", "count": 3, "big": 9_007_199_254_740_993_i64, "rate": 3.0,
        "nothing": null, "open": true, "ip": "10.1.2.3", "ip6": "2001:db8::1", "path": "a/b/c.jpg",
        "tags": ["red", "blue"], "empty": [],
        "data": {"total": 120.5, "lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 9}]}
    })
}

#[test]
fn events_fit_or_do_not() {
    for (pattern, expected) in [
        (r#"{"source":["shop.orders"]}"#, true),
        (r#"{"source":["x","shop.orders"]}"#, true),
        (r#"{"source":["shop"]}"#, false),
        (r#"{"source":["shop.orders"],"count":[4]}"#, false),
        // Numbers by value; whole numbers exactly.
        (r#"{"count":[3.0]}"#, true),
        (r#"{"rate":[3]}"#, true),
        (r#"{"count":["3"]}"#, false),
        (r#"{"big":[9007199254740992]}"#, false),
        (r#"{"big":[9007199254740993]}"#, true),
        (r#"{"nothing":[null],"open":[true]}"#, true),
        (r#"{"absent":[null]}"#, false),
        (r#"{"source":[{"prefix":"shop."}]}"#, true),
        (r#"{"source":[{"prefix":"SHOP."}]}"#, false),
        (r#"{"source":[{"prefix":{"equals-ignore-case":"SHOP."}}]}"#, true),
        (r#"{"path":[{"suffix":".png"},{"suffix":".jpg"}]}"#, true),
        (r#"{"path":[{"suffix":{"equals-ignore-case":".JPG"}}]}"#, true),
        (r#"{"type":[{"equals-ignore-case":"pAID"}]}"#, true),
        (r#"{"type":[{"anything-but":"Paid"}]}"#, false),
        (r#"{"type":[{"anything-but":["Open","Void"]}]}"#, true),
        (r#"{"type":[{"anything-but":{"prefix":"Pa"}}]}"#, false),
        (r#"{"type":[{"anything-but":{"suffix":["x","id"]}}]}"#, false),
        (r#"{"type":[{"anything-but":{"wildcard":"V*"}}]}"#, true),
        (r#"{"count":[{"anything-but":[3]}]}"#, false),
        (r#"{"absent":[{"anything-but":"x"}]}"#, false),
        (r#"{"count":[{"numeric":[">",2,"<=",3]}]}"#, true),
        (r#"{"count":[{"numeric":["=",3]}]}"#, true),
        (r#"{"count":[{"numeric":["<",3]}]}"#, false),
        (r#"{"type":[{"numeric":[">",0]}]}"#, false),
        (r#"{"data":{"total":[{"numeric":[">=",100]}]}}"#, true),
        (r#"{"absent":[{"exists":false}]}"#, true),
        (r#"{"absent":{"deeper":[{"exists":false}]}}"#, true),
        (r#"{"nothing":[{"exists":true}],"empty":[{"exists":true}],"data":[{"exists":true}]}"#, true),
        (r#"{"source":[{"exists":false}]}"#, false),
        (r#"{"ip":[{"cidr":"10.0.0.0/8"}]}"#, true),
        (r#"{"ip":[{"cidr":"10.1.2.4/32"}]}"#, false),
        (r#"{"ip":[{"cidr":"0.0.0.0/0"}],"ip6":[{"cidr":"2001:db8::/32"}]}"#, true),
        (r#"{"ip6":[{"cidr":"0.0.0.0/0"}]}"#, false),
        (r#"{"path":[{"wildcard":"a/*/*.jpg"}]}"#, true),
        (r#"{"path":[{"wildcard":"*"}]}"#, true),
        (r#"{"path":[{"wildcard":"a/*/c.jpg/*"}]}"#, false),
        (r#"{"path":[{"wildcard":"a\\*"}]}"#, false),
        // One element of an array suffices; members of one nested pattern belong to one element.
        (r#"{"tags":["blue"]}"#, true),
        (r#"{"tags":[{"anything-but":"blue"}]}"#, true),
        (r#"{"empty":["x"]}"#, false),
        (r#"{"data":{"lines":{"sku":["b"],"n":[9]}}}"#, true),
        (r#"{"data":{"lines":{"sku":["a"],"n":[9]}}}"#, false),
        (r#"{"$or":[{"count":[4]},{"type":["Paid"]}],"open":[true]}"#, true),
        (r#"{"$or":[{"count":[4]},{"type":["Void"]}]}"#, false),
        (r#"{"data":{"$or":[{"total":[1]},{"lines":{"sku":["b"]}}]}}"#, true),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap().matches(&event()), expected, "{pattern}");
    }
}

#[test]
fn wrong_patterns_are_refused_with_their_place() {
    for (pattern, expected) in [
        ("", "$: not JSON: EOF while parsing a value at line 1 column 0"),
        ("[]", "$: a pattern is a JSON object"),
        ("{}", "$: the pattern is empty; leave it out to take every event"),
        (r#"{"a":"x"}"#, "$.a: \"x\" must stand in an array: [\"x\"]"),
        (r#"{"a":[]}"#, "$.a: an empty array fits nothing"),
        (
            r#"{"a":{"b":{}}}"#,
            "$.a.b: an empty object fits nothing; write [{\"exists\": true}] for a member that must be there",
        ),
        (r#"{"a":[["x"]]}"#, "$.a[0]: an array in an array; a leaf is one array of values and rules"),
        (r#"{"a":["x"],"a":["y"]}"#, "$.a: written twice"),
        (r#"{"a":[{"prefix":"x","suffix":"y"}]}"#, &format!("$.a[0]: a rule has exactly one member: {RULES}")),
        (r#"{"a":["x",{"regex":"y"}]}"#, &format!("$.a[1].regex: not a rule; use {RULES}")),
        (r#"{"a":[{"prefix":3}]}"#, "$.a[0].prefix: must be a string"),
        (r#"{"a":{"b":[{"exists":"yes"}]}}"#, "$.a.b[0].exists: true or false"),
        (
            r#"{"a":[{"numeric":[">"]}]}"#,
            "$.a[0].numeric: an array of comparisons: [\">=\", 1] or [\">\", 0, \"<=\", 5], with <, <=, =, >= or >",
        ),
        (r#"{"a":[{"numeric":["!=",1]}]}"#, "$.a[0].numeric[0]: must be <, <=, =, >= or >"),
        (r#"{"a":[{"numeric":[">","1"]}]}"#, "$.a[0].numeric[1]: must be a number"),
        (r#"{"a":[{"numeric":[">",5,"<",5]}]}"#, "$.a[0].numeric: no number is in this range"),
        (
            r#"{"a":[{"numeric":[">",5,">",6]}]}"#,
            "$.a[0].numeric: two comparisons must make a range, such as [\">\", 0, \"<=\", 5]",
        ),
        (r#"{"a":[{"cidr":"10.0.0.0/33"}]}"#, "$.a[0].cidr: must be a network such as 10.0.0.0/8 or 2001:db8::/32"),
        (r#"{"a":[{"wildcard":"a**"}]}"#, "$.a[0].wildcard: two * in a row"),
        (r#"{"a":[{"wildcard":"a\\n"}]}"#, "$.a[0].wildcard: a \\ stands before * or \\ alone"),
        (r#"{"a":[{"anything-but":[]}]}"#, "$.a[0].anything-but: an empty array excludes nothing"),
        (
            r#"{"a":[{"anything-but":{"numeric":[">",1]}}]}"#,
            "$.a[0].anything-but.numeric: anything-but takes prefix, suffix, equals-ignore-case or wildcard",
        ),
        (r#"{"$or":[{"a":[1]}]}"#, "$.$or: $or is an array of at least two objects"),
        (r#"{"$or":[{"a":[1]},{"b":2}]}"#, "$.$or[1].b: 2 must stand in an array: [2]"),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap_err().to_string(), expected, "{pattern}");
    }
    let long = format!(r#"{{"a":["{}"]}}"#, "x".repeat(PATTERN_BYTES_MAX));
    assert!(Pattern::parse(&long).unwrap_err().why.starts_with("a pattern has at most 4096 bytes"));
    let deep = format!("{}[1]{}", r#"{"a":"#.repeat(17), "}".repeat(17));
    assert!(Pattern::parse(&deep).unwrap_err().why.contains("deeper than 16"));
}

#[test]
fn bytes_that_are_not_json_cannot_be_compared() {
    let pattern = Pattern::parse(r#"{"a":[{"exists":false}]}"#).unwrap();
    assert!(pattern.matches_bytes(b"{}").unwrap());
    assert!(pattern.matches_bytes(b"\x8b\x00").is_err());
    assert!(pattern.matches_bytes("[".repeat(100_000).as_bytes()).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            pattern.matches(&event());
        }
    }

    #[test]
    fn a_wildcard_fits_what_it_was_made_of(
            parts in proptest::collection::vec("[a-c]{0,3}", 1..5),
            fill in "[a-c]{0,5}",
        ) {
        let text = parts.join(&fill);
        let wildcard = parts.join("*");
        prop_assume!(!wildcard.contains("**"));
        let pattern = Pattern::parse(&json!({"a": [{"wildcard": wildcard}]}).to_string()).unwrap();
        let event = json!({"a": text});
        prop_assert!(pattern.matches(&event));
    }
}
