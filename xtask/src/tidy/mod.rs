//! House rules that the compiler does not check: dependencies between crates, `unsafe`, file names,
//! line lengths, circles of files.

mod allowed;
mod arrows;
mod circles;
mod language;
mod lexer;
mod paths;
mod toolchain;
mod unsafe_code;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use self::allowed::{Allowed, Left};

/// Prefix of package names before their folders' names; names as short as `image` are already taken
/// in registries.
const PACKAGE_PREFIX: &str = "sampan-";

/// Runs every check and fails with all findings at once; `trim` first removes fixed findings from
/// the permitted ones.
pub fn run(root: &Path, trim: bool) -> anyhow::Result<()> {
    let crates = workspace_crates(root)?;
    let mut findings = arrows::check(&crates);
    findings.extend(toolchain::check(root)?);
    let mut left = Left::default();
    for (name, found) in &crates {
        findings.extend(unsafe_code::check(root, name, &found.folder)?);
        left.names.insert(name.clone(), language::banned_files(name, &found.folder)?);
        left.long_lines.insert(name.clone(), language::long_lines(root, &found.folder)?);
        left.circles.insert(name.clone(), circles::of_crate(root, &found.folder)?);
    }
    let allowed = Allowed::read(root)?;
    if trim {
        allowed.trimmed(&left).write(root)?;
        return run(root, false);
    }
    findings.extend(allowed.check(&left));
    for file in rust_files(root)? {
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if !opens_with_module_doc(&text) {
            let file = shown(root, &file);
            findings.push(format!("{file}: the file does not open with a `//!` that says what it owns"));
        }
    }
    if findings.is_empty() {
        println!("tidy: {} crates, no findings", crates.len());
        return Ok(());
    }
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    bail!("{} findings", findings.len());
}

struct Crate {
    folder: PathBuf,
    uses: BTreeSet<String>,
}

fn workspace_crates(root: &Path) -> anyhow::Result<BTreeMap<String, Crate>> {
    let mut crates = BTreeMap::new();
    for file in walk(root, &|path| path.file_name().is_some_and(|n| n == "Cargo.toml"))? {
        let text = std::fs::read_to_string(&file)?;
        let manifest: toml::Table = toml::from_str(&text).with_context(|| format!("{} is no TOML", file.display()))?;
        let own_workspace = manifest.contains_key("workspace");
        let Some(name) = manifest.get("package").and_then(|p| p.get("name")).and_then(|n| n.as_str()) else { continue };
        if own_workspace {
            continue;
        }
        let folder = file.parent().context("a manifest lies in a folder")?.to_owned();
        let name = name.strip_prefix(PACKAGE_PREFIX).unwrap_or(name);
        crates.insert(name.to_owned(), Crate { folder, uses: dependency_names(&manifest) });
    }
    Ok(crates)
}

/// Names under `[dependencies]`, `[build-dependencies]` and their `[target.*]` forms.
/// `[dev-dependencies]` are unrestricted.
fn dependency_names(manifest: &toml::Table) -> BTreeSet<String> {
    let mut tables = vec![manifest.get("dependencies"), manifest.get("build-dependencies")];
    if let Some(targets) = manifest.get("target").and_then(|t| t.as_table()) {
        tables.extend(targets.values().map(|t| t.get("dependencies")));
    }
    tables.into_iter().flatten().filter_map(|t| t.as_table()).flat_map(|t| t.keys().cloned()).collect()
}

fn opens_with_module_doc(text: &str) -> bool {
    text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"))
}

fn rust_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    walk(root, &|path| path.extension().is_some_and(|e| e == "rs"))
}

fn walk(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() {
            if !hidden && name != "target" {
                found.extend(walk(&path, wanted)?);
            }
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn shown(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_must_open_with_its_purpose() {
        assert!(opens_with_module_doc("//! Owns things.\n"));
        assert!(!opens_with_module_doc("use std::io;\n//! late\n"));
    }
}
