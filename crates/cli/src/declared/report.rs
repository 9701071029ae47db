//! Prints lines about items: actions and differences.

use serde::Serialize;
use serde_json::Value;

use super::differences::Difference;
use super::plan::{Act, Change};
use crate::args::Output;
use crate::failure::Failure;
use crate::terminal;

/// Outcome of an item.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    #[serde(flatten)]
    pub change: Change,
    /// `null` on success.
    pub error: Option<String>,
    /// Whether it was skipped because a dependency failed.
    pub left: bool,
    pub elapsed_ms: u64,
}

impl Outcome {
    /// The item with its first difference; `None` if it is unchanged.
    pub fn difference(&self) -> Option<String> {
        let Change { item, act, differences } = &self.change;
        let field =
            differences.first().map(|of| format!(" (`{}`: {} -> {})", of.field, shown(&of.from), shown(&of.to)));
        (*act != Act::Keep).then(|| format!("{item}{}", field.unwrap_or_default()))
    }
}

/// Prints the outcome of an item.
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

/// Prints an item's differences from its declaration.
pub fn change(change: &Change) {
    let word = match change.act {
        Act::Create => "does not exist",
        Act::Update => "differs",
        Act::Keep => return,
        Act::Delete => "is no longer declared",
    };
    println!("{}: {word}", change.item);
    for Difference { field, from, to } in &change.differences {
        println!("  {field}: {} -> {}", shown(from), shown(to));
    }
}

/// Formats a value in one line.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        other => terminal::line(&other.to_string()).into_owned(),
    }
}
