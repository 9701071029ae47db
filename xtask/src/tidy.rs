//! The rules of the house that no compiler checks: which crate may use which, `unsafe` in one crate only, and a `//!`
//! on every file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Every crate, its folder, and which crates of the workspace it may use. An arrow that is not here is forbidden.
const ARROWS: &[(&str, &str, &[&str])] = &[
    ("types", "crates/types", &[]),
    ("schedule", "crates/schedule", &[]),
    ("supervisor", "crates/supervisor", &[]),
    ("sys", "crates/node/sys", &[]),
    ("store", "crates/store", &["types"]),
    ("logs", "crates/node/logs", &["supervisor", "types"]),
    ("erofs", "crates/node/erofs", &[]),
    ("oci", "crates/node/oci", &["types"]),
    ("layer-index", "crates/node/layer-index", &["types", "sys", "erofs"]),
    ("content-store", "crates/node/content-store", &["types", "sys", "erofs", "oci", "layer-index"]),
    ("rootfs", "crates/node/rootfs", &["types", "sys", "erofs", "oci", "layer-index", "content-store"]),
    (
        "image",
        "crates/node/image",
        &["supervisor", "types", "sys", "erofs", "oci", "layer-index", "content-store", "rootfs"],
    ),
    ("network", "crates/node/network", &["supervisor", "sys"]),
    ("sandbox", "crates/node/sandbox", &["supervisor", "types", "sys", "network"]),
    ("pool", "crates/data/pool", &["supervisor", "types", "schedule"]),
    ("launcher", "crates/data/launcher", &["types", "pool", "image", "sandbox", "logs"]),
    ("connections", "crates/data/connections", &["supervisor"]),
    ("invoke", "crates/data/invoke", &["supervisor", "types", "connections", "pool", "logs"]),
    ("gateway", "crates/data/gateway", &["supervisor", "types", "connections", "invoke"]),
    ("registry", "crates/control/registry", &["types", "oci", "content-store"]),
    ("deploy", "crates/control/deploy", &["supervisor", "types", "store", "image"]),
    ("signature", "crates/control/signature", &["types"]),
    ("credentials", "crates/control/credentials", &["types", "image", "signature"]),
    ("api", "crates/control/api", &["types", "schedule", "signature", "store", "logs", "invoke"]),
    ("cli", "crates/cli", &["types", "signature"]),
    (
        "sampan",
        "crates/sampan",
        &[
            "cli",
            "types",
            "supervisor",
            "store",
            "sys",
            "oci",
            "layer-index",
            "image",
            "sandbox",
            "logs",
            "pool",
            "launcher",
            "invoke",
            "connections",
            "gateway",
            "registry",
            "deploy",
            "signature",
            "credentials",
            "api",
        ],
    ),
    ("warm-path", "benches/warm-path", &["types", "logs", "pool", "invoke", "gateway"]),
    ("xtask", "xtask", &["pool"]),
    ("e2e", "e2e", &["signature", "types"]),
];

/// What packages are called by beside their folders' names: names as short as `image` are others' in a registry.
const PACKAGE_PREFIX: &str = "sampan-";

/// The one crate that may say `unsafe`.
const UNSAFE_CRATE: &str = "sys";

/// Runs every check and fails with all findings at once.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let mut findings = Vec::new();
    let crates = workspace_crates(root)?;
    findings.extend(check_arrows(&crates));
    for (name, found) in &crates {
        findings.extend(check_unsafe(root, name, &found.folder)?);
    }
    for file in rust_files(root)? {
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if !opens_with_module_doc(&text) {
            findings
                .push(format!("{}: the file does not open with a `//!` that says what it owns", shown(root, &file)));
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

/// Names under `[dependencies]`, `[build-dependencies]` and their `[target.*]` forms. Tests may use what they like.
fn dependency_names(manifest: &toml::Table) -> BTreeSet<String> {
    let mut tables = vec![manifest.get("dependencies"), manifest.get("build-dependencies")];
    if let Some(targets) = manifest.get("target").and_then(|t| t.as_table()) {
        tables.extend(targets.values().map(|t| t.get("dependencies")));
    }
    tables.into_iter().flatten().filter_map(|t| t.as_table()).flat_map(|t| t.keys().cloned()).collect()
}

fn check_arrows(crates: &BTreeMap<String, Crate>) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, found) in crates {
        let Some((_, folder, allowed)) = ARROWS.iter().find(|(n, ..)| n == name) else {
            findings.push(format!("crate {name} is not in the table of arrows (xtask/src/tidy.rs)"));
            continue;
        };
        if !found.folder.ends_with(folder) {
            findings.push(format!("crate {name} belongs in {folder}"));
        }
        let ours = found.uses.iter().filter(|used| crates.contains_key(*used));
        for used in ours.filter(|used| !allowed.contains(&used.as_str())) {
            findings.push(format!("crate {name} must not use {used}: arrows point down (ARCHITECTURE.md)"));
        }
    }
    findings
}

fn check_unsafe(root: &Path, name: &str, folder: &Path) -> anyhow::Result<Vec<String>> {
    if name == UNSAFE_CRATE {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    for entry in ["src/lib.rs", "src/main.rs"] {
        let file = folder.join(entry);
        if file.exists() && !std::fs::read_to_string(&file)?.contains("#![forbid(unsafe_code)]") {
            findings.push(format!("{}: lacks #![forbid(unsafe_code)]", shown(root, &file)));
        }
    }
    for file in walk(folder, &|path| path.extension().is_some_and(|e| e == "rs"))? {
        for (number, line) in std::fs::read_to_string(&file)?.lines().enumerate() {
            if says_unsafe(line) {
                findings.push(format!("{}:{}: `unsafe` outside node/sys", shown(root, &file), number + 1));
            }
        }
    }
    Ok(findings)
}

/// Whether a line has `unsafe` as code: before `{`, `fn`, `impl`, `trait` or `extern`, and not in a comment or a text.
fn says_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let code: String = code.split('"').step_by(2).collect();
    ["{", "fn ", "impl ", "trait ", "extern "].iter().any(|next| code.contains(&format!("unsafe {next}")))
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

    fn crates(list: &[(&str, &str, &[&str])]) -> BTreeMap<String, Crate> {
        list.iter()
            .map(|(name, folder, uses)| {
                let uses = uses.iter().map(|u| (*u).to_owned()).collect();
                ((*name).to_owned(), Crate { folder: PathBuf::from(folder), uses })
            })
            .collect()
    }

    #[test]
    fn a_forbidden_arrow_is_found() {
        let found =
            check_arrows(&crates(&[("types", "crates/types", &["store"]), ("store", "crates/store", &["types"])]));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("types must not use store"));
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(check_arrows(&crates(&[("extra", "crates/extra", &[])])).len(), 1);
    }

    #[test]
    fn unsafe_is_found_in_code_and_not_in_comments() {
        assert!(says_unsafe("    unsafe { call() }"));
        assert!(says_unsafe("pub unsafe fn call() {}"));
        assert!(!says_unsafe("// an unsafe { block } in a comment"));
        assert!(!says_unsafe("#![forbid(unsafe_code)]"));
    }

    #[test]
    fn a_file_must_open_with_its_purpose() {
        assert!(opens_with_module_doc("//! Owns things.\n"));
        assert!(!opens_with_module_doc("use std::io;\n//! late\n"));
    }

    #[test]
    fn the_table_has_no_circles() {
        for (name, _, uses) in ARROWS {
            let mut seen = BTreeSet::new();
            let mut next: Vec<&str> = uses.to_vec();
            while let Some(used) = next.pop() {
                assert_ne!(&used, name, "{name} reaches itself");
                if seen.insert(used) {
                    next.extend(ARROWS.iter().filter(|(n, ..)| *n == used).flat_map(|(_, _, u)| u.iter()));
                }
            }
        }
    }
}
