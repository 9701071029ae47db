//! Checks that a clone is built with the compiler version that the manifest requires.

use std::path::Path;

use anyhow::Context;

/// Finds a `rust-toolchain.toml` whose version differs from the workspace's `rust-version`.
pub fn check(root: &Path) -> anyhow::Result<Option<String>> {
    let read = |file: &str| -> anyhow::Result<toml::Table> {
        let text = std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        toml::from_str(&text).with_context(|| format!("{file} is no TOML"))
    };
    Ok(differ(&read("rust-toolchain.toml")?, &read("Cargo.toml")?))
}

fn differ(toolchain: &toml::Table, manifest: &toml::Table) -> Option<String> {
    let pinned = toolchain.get("toolchain").and_then(|t| t.get("channel")).and_then(|c| c.as_str());
    let package = manifest.get("workspace").and_then(|w| w.get("package"));
    let required = package.and_then(|p| p.get("rust-version")).and_then(|v| v.as_str());
    let (pinned, required) = (pinned.unwrap_or("nothing"), required.unwrap_or("nothing"));
    let same = pinned == required || pinned.strip_prefix(required).is_some_and(|rest| rest.starts_with('.'));
    (!same).then(|| format!("rust-toolchain.toml pins {pinned}, and rust-version of Cargo.toml is {required}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_compiler_is_the_required_one() {
        let table = |text: &str| text.parse::<toml::Table>().expect("TOML");
        let manifest = table("[workspace.package]\nrust-version = '1.95'");
        for (channel, is_found) in [("1.95.0", false), ("1.95", false), ("1.950.0", true), ("stable", true)] {
            let pinned = table(&format!("[toolchain]\nchannel = '{channel}'"));
            assert_eq!(differ(&pinned, &manifest).is_some(), is_found, "{channel}");
        }
    }
}
