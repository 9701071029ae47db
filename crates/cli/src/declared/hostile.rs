//! Tests of damaged, tricky and large files: each is read as written, or rejected with its place.

use super::files::parsed;
use super::model::{File, FunctionName};
use super::yaml::error::Error;

fn read(texts: &[&str]) -> Result<File, Error> {
    let names = ["a.yaml", "b.yaml"];
    parsed(names.into_iter().zip(texts.iter().copied()), &|_| None).map(|(file, _)| file)
}

const GOOD: &str = "project: p\nfunctions:\n  f:\n    image: a\n    description: \"x\"\n";

#[test]
fn a_mark_of_byte_order_and_lines_of_windows_change_nothing() {
    let plain = read(&[GOOD]).expect("valid");
    assert_eq!(read(&[&format!("\u{feff}{GOOD}")]).expect("with a mark"), plain);
    assert_eq!(read(&[&GOOD.replace('\n', "\r\n")]).expect("lines of Windows"), plain);
}

#[test]
fn files_without_content_say_what_is_missing() {
    for (text, part) in
        [("", "empty"), ("# only a comment\n", "empty"), ("---\n", "expected keys"), ("{}", "`project`")]
    {
        let error = read(&[text]).expect_err(text).to_string();
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn names_that_differ_in_case_are_two_and_equal_ones_are_refused() {
    let file = read(&["project: p\nfunctions: { f: { image: a }, F: { image: b } }"]).expect("valid");
    assert_eq!(file.functions.len(), 2);
    let twice = read(&["project: p\nfunctions: { f: { image: a }, default/f: { image: b } }"]);
    assert!(twice.expect_err("one function by two names").to_string().contains("twice"));
}

#[test]
fn variables_in_keys_are_refused() {
    for text in [
        "project: p\nfunctions: { '${F}': { image: a } }",
        "project: p\nfunctions: { f: { image: a, environment: { '${K}': v } } }",
        "project: p\nfunctions: { f: { image: a, triggers: { '${T}': {} } } }",
        "project: p\ndomains: { '${D}.example.com': { routes: {} } }",
        "project: p\ndomains: { a.b: { routes: { '${R}': f } } }",
        "project: p\nfunctions: { f: { image: a, tags: { '${T}': v } } }",
        "project: p\nfunctions: { f: { image: a, triggers: { t: { desc: { A: [{ '${D}': v }] } } } } }",
    ] {
        let error = read(&[text]).expect_err(text).to_string();
        assert!(error.contains("in values only"), "{text}: {error}");
    }
}

#[test]
fn an_overlay_of_nulls_takes_away_what_may_be_missing() {
    let over = "functions:\n  f:\n    description:\n    memory: ~\n";
    let file = read(&[GOOD, over]).expect("valid");
    let function = &file.functions[&FunctionName::new("default", "f")];
    assert_eq!((function.description.as_ref(), function.memory), (None, None));
    let gone = read(&[GOOD, "functions:\n  f:\n"]).expect("valid");
    assert!(gone.functions.is_empty());
    assert!(read(&[GOOD, "project:\n"]).expect_err("needed").to_string().contains("`project` is missing"));
}

#[test]
fn an_overlay_that_names_nothing_takes_nothing_away() {
    for (over, place) in [("functions:\n", "b.yaml:1:10"), ("# x\ndomains: ~\n", "b.yaml:2:10")] {
        let error = read(&[GOOD, over]).expect_err(over).to_string();
        assert!(error.starts_with(place) && error.contains("would remove all"), "{error}");
    }
    let error = read(&[GOOD, "functions: { g: }"]).expect_err("nothing").to_string();
    assert!(error.starts_with("b.yaml:1:15: expected keys, found nothing"), "{error}");
}

#[test]
fn overlays_of_another_shape_are_refused_at_their_place() {
    let base = "project: p\nfunctions:\n  f:\n    image: a\n    environment: { A: b }\n    mounts: ['v:/v']\n    \
                memory: 256\n";
    for (over, place, part) in [
        ("environment: [A=b]", "b.yaml:1:32", "found a list"),
        ("mounts: { v: /v }", "b.yaml:1:27", "expected a list"),
        ("memory: { limit: 1 }", "b.yaml:1:27", "expected a size"),
        ("memory: a lot", "b.yaml:1:27", "not a size"),
        ("triggers: none", "b.yaml:1:29", "expected keys"),
    ] {
        let error = read(&[base, &format!("functions: {{ f: {{ {over} }} }}")]).expect_err(over).to_string();
        assert!(error.starts_with(place) && error.contains(part), "{over}: {error}");
    }
    assert!(read(&[base, "functions: [f]"]).expect_err("a list").to_string().starts_with("b.yaml:1:12"));
    // Under its other name, the function is another key and thus a duplicate.
    let error = read(&[base, "functions: { default/f: { memory: 512 } }"]).expect_err("twice").to_string();
    assert!(error.starts_with("b.yaml:1:14") && error.contains("first in a.yaml:3:3"), "{error}");
}

#[test]
fn merge_keys_take_keys_over() {
    let text = "project: p\nfunctions:\n  a: &a\n    image: x\n    memory: 256\n    environment: &e { A: 1, B: 2 }\n  \
                b:\n    <<: *a\n    memory: 512\n    environment: { <<: [{ B: 3, C: 4 }, *e], C: 5 }\n  \
                c: { image: y, environment: { '<<': z } }\n";
    let file = read(&[text]).expect("valid");
    let function = |name: &str| &file.functions[&FunctionName::new("default", name)];
    let variables = |name: &str| {
        let pairs = function(name).environment.iter().flatten().map(|(key, value)| format!("{key}{value}"));
        pairs.collect::<Vec<_>>()
    };
    assert_eq!((function("b").image.as_str(), function("b").memory), ("x", Some(512)));
    assert_eq!(
        (variables("a"), variables("b")),
        (vec!["A1".to_owned(), "B2".to_owned()], ["A1", "B3", "C5"].map(str::to_owned).to_vec())
    );
    assert_eq!(variables("c"), ["<<z"]);
    for (keys, place, part) in [
        ("<<: x", "a.yaml:4:9", "must refer to keys"),
        ("<<: [{}, 1]", "a.yaml:4:14", "must refer to keys"),
        ("<<: {}\n    <<: {}", "a.yaml:5:5", "duplicate key"),
        ("<<: { memroy: 1 }", "a.yaml:4:11", "is not a known key here"),
    ] {
        let error = read(&[&format!("project: p\nfunctions:\n  f:\n    {keys}\n    image: a\n")]).expect_err(keys);
        assert!(error.to_string().starts_with(place) && error.to_string().contains(part), "{keys}: {error}");
    }
}

#[test]
fn what_is_no_declaration_is_refused_with_its_place() {
    for (text, place, part, hint) in [
        ("project: p\n---\nproject: q\n", "a.yaml:3:1", "single document", "`---`"),
        ("project: p\n...\nproject: q\n", "a.yaml:3:1", "single document", ""),
        ("project: p\nfunctions:\n\tf: { image: a }\n", "a.yaml:3:", "tabs", ""),
        ("project: p\nfunctions:\n  f:\n    image: a\n   port: 1\n", "a.yaml:5:4", "not YAML", ""),
        ("project: p\r\nfunctions:\r\n  f:\r\n    imgae: a\r\n", "a.yaml:4:5", "is not a known key", "`image`"),
        ("\u{feff}project: p\nfuncs: {}\n", "a.yaml:2:1", "is not a known key", ""),
        ("project: p\0\n", "a.yaml:1:11", "not YAML", ""),
        ("project: p\nfunctions:\n  f: { image: \"a\n", "a.yaml:3:15", "unclosed quote", ""),
        ("project: p\nfunctions:\n  f:\n    image:a\n", "a.yaml:4:5", "expected keys", "a blank after the colon"),
        ("project: p\nfunctions:\n  f: *g\n", "a.yaml:3:6", "anchor", ""),
        ("project: p\nfunctions: &a\n  f: *a\n", "a.yaml:3:6", "no anchor that ends before it", ""),
        ("project: p\nfunctions:\n  ? [f]\n  : { image: a }\n", "a.yaml:3:5", "a key must be a text", ""),
        ("project: p\nfunctions:\n  ~: { image: a }\n", "a.yaml:3:3", "a key is missing", ""),
        ("project: p\nfunctions:\n  f: { image: a, 'image': b }\n", "a.yaml:3:18", "duplicate key", ""),
        ("project: p\nfunctions:\n  f: { image: !!binary YQ== }\n", "a.yaml:3:", "is not supported", ""),
        ("- project: p\n", "a.yaml:1:1", "found a list", ""),
        ("project p\n", "a.yaml:1:1", "expected keys", ""),
        ("project: p\nfunctions: { f: { image: a, memory: \"${M:-much}\" } }\n", "a.yaml:2:37", "not a size", ""),
        ("project: p\nfunctions: { f: { image: a, port: \"${P:-http}\" } }\n", "a.yaml:2:35", "whole number", ""),
        ("project: p\nfunctions: { f: { image: a, init: \"${I:-yes}\" } }\n", "a.yaml:2:35", "true or false", ""),
        ("project: ${P:-No Name}\nfunctions: {}\n", "a.yaml:1:10", "not a valid project name", ""),
    ] {
        let error = read(&[text]).expect_err(text);
        assert!(error.to_string().starts_with(place) && error.to_string().contains(part), "{text:?}: {error}");
        assert!(error.hint.contains(hint), "{text:?}: {}", error.hint);
    }
    let directives = "%YAML 1.2\n---\nproject: p\nfunctions: { f: { image: a } }\n...\n# the end\n";
    assert_eq!(read(&[directives]).expect("single document").functions.len(), 1);
}

#[test]
fn depths_that_aliases_add_up_are_bounded() {
    let mut text = "project: p\nfunctions:\n  f:\n    image: a\n    triggers:\n      t:\n        desc:\n".to_owned();
    let mut inner = "x".to_owned();
    for n in 0..75 {
        text += &format!("          k{n}: &a{n} {}{inner}{}\n", "[".repeat(50), "]".repeat(50));
        inner = format!("*a{n}");
    }
    let error = read(&[&text]).expect_err("a bomb").to_string();
    assert!(error.starts_with("a.yaml:9:") && error.contains("nested more than"), "{error}");
}

#[test]
fn long_files_and_their_overlays_are_read_by_the_size() {
    // A linear search per name took minutes.
    let functions: String = (0..40_000).map(|n| format!("  f{n}: {{ image: a }}\n")).collect();
    let text = format!("project: p\nfunctions:\n{functions}");
    let file = read(&[&text, &text]).expect("valid");
    assert_eq!(file.functions.len(), 40_000);
}

#[test]
fn bombs_of_long_texts_and_many_keys_are_bounded() {
    let long = "x".repeat(1024 * 1024);
    let aliases = "*a, ".repeat(100_000);
    let bomb = format!("project: p\nx: &a '{long}'\ny: [{aliases}]\n");
    assert!(read(&[&bomb]).expect_err("a bomb").to_string().contains("aliases repeat more than"));
    let keys: String = (0..90_000).map(|n| format!("k{n}: 1\n")).collect();
    assert!(read(&[&keys]).expect_err("no keys of ours").to_string().contains("is not a known key here"));
}

#[test]
fn a_forged_mark_is_refused() {
    for keys in [
        "description: 'x [declared by blog]'",
        "triggers: { t: { cron: x, description: '[declared by blog]' } }",
        "aliases: { a: { version: 1, description: '[declared by blog, secrets 00]' } }",
        "versions: { 1: { image: a, description: '[declared by blog]' } }",
    ] {
        let error = read(&[&format!("project: p\nfunctions:\n  f:\n    image: a\n    {keys}\n")]).expect_err(keys);
        assert!(error.to_string().contains("mark of project blog"), "{keys}: {error}");
    }
}
