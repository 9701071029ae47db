//! `sampan config`: every effective setting with its origin, and whether the platform can start.

use crate::args::{Output, UpArgs};
use crate::{output, settings};

/// Prints all effective settings.
///
/// # Errors
/// A setting with which `sampan up` would not start, after the settings, whose origins help to
/// correct it.
pub fn run(args: &UpArgs, format: Output) -> anyhow::Result<()> {
    let (all, loaded) = (settings::effective(args)?, settings::load(args)?);
    match format {
        Output::Json => output::json(&all)?,
        Output::Text => {
            let rows: Vec<_> = all.into_iter().map(|s| vec![s.key, s.value.to_string(), s.origin]).collect();
            output::table(&["KEY", "VALUE", "ORIGIN"], &rows);
        }
    }
    for warning in settings::warnings(&loaded) {
        eprintln!("warning: {warning}");
    }
    settings::check(&loaded)
}
