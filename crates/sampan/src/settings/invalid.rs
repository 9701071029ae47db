//! Messages about invalid settings: the key as written, its source, and the remedy.

use cli::nearest;
use figment::error::Kind;
use figment::{Error, Metadata};

/// Returns the message and the hint.
pub fn explained(error: Error) -> (String, String) {
    let mut hint = "`sampan config` prints every key with its value and origin.".to_owned();
    let mut what = Vec::new();
    for one in error {
        if let Kind::UnknownField(name, known) = &one.kind {
            hint = remedy(name, known, one.path.len() > 1);
        }
        what.push(message(&one));
    }
    (what.join("; "), hint)
}

fn message(error: &Error) -> String {
    let key = error.path.join(".");
    let place = error.metadata.as_ref().map_or_else(String::new, place);
    match &error.kind {
        Kind::UnknownField(name, _) if key.is_empty() => format!("unknown setting {name}{place}"),
        Kind::UnknownField(..) => format!("unknown setting {key}{place}"),
        kind if key.is_empty() => format!("{kind}{place}"),
        kind => format!("{key}: {kind}{place}"),
    }
}

fn place(metadata: &Metadata) -> String {
    match &metadata.source {
        Some(source) => format!(" ({source})"),
        None => format!(" ({})", metadata.name),
    }
}

fn remedy(name: &str, known: &'static [&'static str], is_in_section: bool) -> String {
    if is_in_section && super::variables::is_top_level(name) {
        return format!("`{name}` belongs above the first [section] of the file.");
    }
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("Did you mean `{near}`? `sampan config` prints every key."),
        None => "`sampan config` prints every key.".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::result_large_err)] // figment's `Jail` fixes the error type.
mod tests {
    use crate::args::UpArgs;

    #[test]
    fn an_unknown_setting_is_named_with_what_was_meant() {
        for (file, want, hint) in [
            ("gateway_adr = 'x'", "unknown setting gateway_adr", "Did you mean `gateway_addr`?"),
            ("[pool]\nkeep_idel_s = 5", "unknown setting pool.keep_idel_s", "Did you mean `keep_idle_s`?"),
            ("[network]\ngateway_addr = '0.0.0.0:80'", "network.gateway_addr", "above the first [section]"),
            ("[pool]\nkeep_idle_s = 'long'", "pool.keep_idle_s: invalid type", "every key"),
        ] {
            figment::Jail::expect_with(|jail| {
                jail.create_file("s.toml", file)?;
                let args = UpArgs { config: Some("s.toml".into()), ..UpArgs::default() };
                let error = crate::settings::effective(&args).map(drop).expect_err(file);
                let failure = crate::failure::Failure::of(&error);
                let said = failure.to_string();
                assert!(said.contains(want) && said.contains("s.toml") && !said.contains("default."), "{said}");
                assert!(failure.hint().contains(hint), "{file}: {}", failure.hint());
                Ok(())
            });
        }
    }
}
