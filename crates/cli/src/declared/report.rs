//! Lines about items: what was done, and what differs.

use serde::Serialize;
use serde_json::Value;

use super::differences::Difference;
use super::plan::{Act, Change};
use crate::args::Output;
use crate::failure::Failure;
use crate::terminal;

/// What became of an item.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    #[serde(flatten)]
    pub change: Change,
    /// `null` where it succeeded.
    pub error: Option<String>,
    /// It was not begun, because what it needs failed.
    pub left: bool,
    pub elapsed_ms: u64,
}

impl Outcome {
    /// The item and the first of its differences, where there is one.
    pub fn difference(&self) -> Option<String> {
        let Change { item, act, differences } = &self.change;
        let field =
            differences.first().map(|of| format!(" (`{}`: {} -> {})", of.field, shown(&of.from), shown(&of.to)));
        (*act != Act::Keep).then(|| format!("{item}{}", field.unwrap_or_default()))
    }
}

/// Prints what became of an item.
pub fn outcome(outcome: &Outcome, failure: Option<&Failure>, format: Output) {
    if format == Output::Json {
        return;
    }
    let item = &outcome.change.item;
    if let Some(failure) = failure {
        eprintln!("{item}: failed: {}", terminal::message(&failure.to_string()));
        if !failure.hint().is_empty() {
            eprintln!("  hint: {}", terminal::message(failure.hint()));
        }
        return;
    }
    let seconds = outcome.elapsed_ms as f64 / 1000.0;
    match outcome.change.act {
        Act::Create => println!("{item}: created ({seconds:.1} s)"),
        Act::Update => println!("{item}: updated ({seconds:.1} s)"),
        Act::Keep => println!("{item}: unchanged"),
        Act::Delete => println!("{item}: removed"),
    }
}

/// What separates an item from its declaration.
pub fn change(change: &Change) {
    let word = match change.act {
        Act::Create => "is not there",
        Act::Update => "differs",
        Act::Keep => return,
        Act::Delete => "is no longer declared",
    };
    println!("{}: {word}", change.item);
    for Difference { field, from, to } in &change.differences {
        println!("  {field}: {} -> {}", shown(from), shown(to));
    }
}

/// A value in one line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        other => terminal::line(&other.to_string()).into_owned(),
    }
}
