//! `sampan config`: every effective setting with its origin.

use crate::args::{Output, UpArgs};
use crate::{output, settings};

/// Prints all effective settings.
pub fn run(args: &UpArgs, format: Output) -> anyhow::Result<()> {
    let all = settings::effective(args)?;
    match format {
        Output::Json => output::json(&all),
        Output::Text => {
            let rows: Vec<_> = all.into_iter().map(|s| vec![s.key, s.value.to_string(), s.origin]).collect();
            output::table(&["KEY", "VALUE", "ORIGIN"], &rows);
            Ok(())
        }
    }
}
