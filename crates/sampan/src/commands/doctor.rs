//! `sampan doctor`: which kernel features are there, and what is used in place of those that are not.

use crate::args::{Output, UpArgs};
use crate::failure::{Exit, Failure};
use crate::output;

/// Prints the checks; fails when something is missing that nothing can stand in for.
pub fn run(_args: &UpArgs, format: Output) -> anyhow::Result<()> {
    let checks = sandbox::doctor();
    let missing: Vec<&str> = checks.iter().filter(|c| c.is_missing()).map(|c| c.name).collect();
    match format {
        Output::Json => output::json(&checks)?,
        Output::Text => {
            let row =
                |c: &sandbox::Check| vec![c.name.to_owned(), c.status.to_string(), c.found.clone(), c.remedy.clone()];
            let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
            output::table(&["FEATURE", "STATUS", "FOUND", "INSTEAD / REMEDY"], &rows);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("this machine cannot run Sampan: missing {}", missing.join(", "));
    Err(Failure::new(Exit::Failed, message, "The last column says what to do about each.").into())
}
