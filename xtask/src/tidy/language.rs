//! Banned file names, and line lengths.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use anyhow::Context;

use super::{rust_files, shown};

/// Most columns of a comment line.
const COMMENT_COLUMNS_MAX: usize = 100;
/// Most columns of any other line.
const CODE_COLUMNS_MAX: usize = 120;

/// Names banned for files and module folders in all crates.
const BANNED: &[&str] = &[
    "util",
    "utils",
    "common",
    "manager",
    "helper",
    "helpers",
    "misc",
    "ride",
    "rider",
    "riders",
    "seat",
    "seats",
    "ledger",
    "claims",
    "worth",
    "upkeep",
    "victims",
    "nest",
    "pace",
    "turn",
    "turns",
    "patience",
    "verdict",
    "flight",
    "workshop",
    "doors",
    "injected",
    "surroundings",
    "kept",
    "words",
];

/// Names banned in certain crates, where they differ from the field's meaning.
const BANNED_IN: &[(&[&str], &[&str])] = &[
    (&["pool"], &["scale", "refusal", "keep", "past", "demand", "ready", "ahead", "order"]),
    (&["launcher"], &["ahead"]),
    (&["image", "oci", "registry-client", "content-store", "layer-index", "rootfs"], &["ask", "order", "wire"]),
    (&["connections", "invoke", "gateway"], &["activity"]),
    (&["sandbox", "sys"], &["slots", "reach", "end", "child", "plan"]),
    (&["api"], &["runs"]),
    (&["e2e"], &["gate", "walk", "scene"]),
];

/// A line that is too long.
pub struct LongLine {
    /// Its file, relative to the workspace's root.
    pub file: String,
    /// Its number, from 1.
    pub number: usize,
    /// Its length in columns.
    pub columns: usize,
}

impl fmt::Display for LongLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, number, columns } = self;
        write!(f, "{file}:{number}: {columns} columns; comments end at 100, code at 120")
    }
}

/// Files of a crate, relative to it, with a banned name or in a folder with one.
pub fn banned_files(krate: &str, folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let files = rust_files(folder)?;
    let names = files.iter().map(|file| shown(folder, file));
    Ok(names.filter(|file| is_banned(krate, file)).collect())
}

/// Whether a path within a crate has a banned name; a folder is represented by its module file.
fn is_banned(krate: &str, file: &str) -> bool {
    let path = Path::new(file);
    let stem = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let name = match stem(path) {
        name if name == "mod" => path.parent().map(stem).unwrap_or_default(),
        name => name,
    };
    let here = BANNED_IN.iter().filter(|(crates, _)| crates.contains(&krate)).flat_map(|(_, names)| names.iter());
    BANNED.iter().chain(here).any(|banned| *banned == name)
}

/// Lines of a crate that are too long.
pub fn long_lines(root: &Path, folder: &Path) -> anyhow::Result<Vec<LongLine>> {
    let mut found = Vec::new();
    for file in rust_files(folder)? {
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for (index, line) in text.lines().enumerate() {
            if is_long(line) {
                let columns = line.chars().count();
                found.push(LongLine { file: shown(root, &file), number: index + 1, columns });
            }
        }
    }
    Ok(found)
}

fn is_long(line: &str) -> bool {
    let columns_max = if line.trim_start().starts_with("//") { COMMENT_COLUMNS_MAX } else { CODE_COLUMNS_MAX };
    line.chars().count() > columns_max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_words_are_no_names_of_files() {
        for (krate, file) in [
            ("pool", "src/seat.rs"),
            ("pool", "src/scale.rs"),
            ("store", "src/utils/mod.rs"),
            ("sandbox", "src/slots.rs"),
            ("e2e", "src/walk.rs"),
        ] {
            assert!(is_banned(krate, file), "{krate} {file}");
        }
        for (krate, file) in [
            ("types", "src/wire/mod.rs"),
            ("gateway", "src/route.rs"),
            ("store", "src/utils/clock.rs"),
            ("image", "src/slots.rs"),
            ("pool", "src/session_slot.rs"),
        ] {
            assert!(!is_banned(krate, file), "{krate} {file}");
        }
    }

    #[test]
    fn comments_end_before_code_does() {
        let comment = |columns: usize| format!("    /// {}", "x".repeat(columns - 8));
        assert!(!is_long(&comment(100)) && is_long(&comment(101)));
        assert!(!is_long(&"x".repeat(120)) && is_long(&"x".repeat(121)));
        assert!(!is_long(&format!("// {}", "ä".repeat(97))), "columns are characters");
    }
}
