//! Files that are damaged, tricky or large: each is read as it is written, or refused with its
//! place.

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
    for (text, part) in [("", "empty"), ("# only a comment\n", "empty"), ("---\n", "keys belong"), ("{}", "`project`")]
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
    ] {
        let error = read(&[text]).expect_err(text).to_string();
        assert!(error.contains("in values alone"), "{text}: {error}");
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
fn bombs_of_long_texts_and_many_keys_are_bounded() {
    let long = "x".repeat(1024 * 1024);
    let aliases = "*a, ".repeat(100_000);
    let bomb = format!("project: p\nx: &a '{long}'\ny: [{aliases}]\n");
    assert!(read(&[&bomb]).expect_err("a bomb").to_string().contains("aliases repeat more than"));
    let keys: String = (0..90_000).map(|n| format!("k{n}: 1\n")).collect();
    assert!(read(&[&keys]).expect_err("no keys of ours").to_string().contains("is no key here"));
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
        assert!(error.to_string().contains("what the project blog made"), "{keys}: {error}");
    }
}
