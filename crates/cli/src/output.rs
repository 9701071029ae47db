//! Output of commands: JSON documents, aligned columns, and progress bars on a terminal.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::args::Output;
use crate::terminal;

/// Interval of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// Prints a JSON document on one line.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", terminal::json(serde_json::to_string(value)?));
    Ok(())
}

/// Prints rows under headings, with columns as wide as their longest cell; a cell is always one
/// line.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|entry| terminal::line(entry)).collect()).collect();
    let widths: Vec<usize> = (0..headings.len())
        .map(|i| rows.iter().map(|r| r[i].chars().count()).chain([headings[i].len()]).max().unwrap_or_default())
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(c, w)| format!("{c:w$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(headings.to_vec());
    for row in &rows {
        line(row.iter().map(AsRef::as_ref).collect());
    }
}

/// A progress bar in bytes; hidden without a terminal and with JSON output.
pub fn bytes_bar(output: Output, total: u64, what: String) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), target(output));
    let style = ProgressStyle::with_template("{msg:28} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
        .expect("the template is constant and right");
    bar.set_style(style);
    bar.set_message(terminal::line(&what).into_owned());
    bar
}

/// A spinner with a changing text; hidden without a terminal and with JSON output.
pub fn spinner(output: Output, what: String) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, target(output));
    spinner.set_message(terminal::line(&what).into_owned());
    spinner.enable_steady_tick(TICK);
    spinner
}

fn target(output: Output) -> ProgressDrawTarget {
    match output {
        Output::Text => ProgressDrawTarget::stderr(),
        Output::Json => ProgressDrawTarget::hidden(),
    }
}
