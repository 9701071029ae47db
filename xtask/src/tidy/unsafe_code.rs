//! `unsafe` is allowed in one crate only, and forbidden by attribute in all others.

use std::path::Path;

use super::{shown, walk};

/// The only crate that may contain `unsafe`.
const UNSAFE_CRATE: &str = "sys";

/// Finds `unsafe` in a crate, and a missing `#![forbid(unsafe_code)]`.
pub fn check(root: &Path, name: &str, folder: &Path) -> anyhow::Result<Vec<String>> {
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

/// Whether a line has `unsafe` as code: before `{`, `fn`, `impl`, `trait` or `extern`, outside
/// comments and string literals.
fn says_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let code: String = code.split('"').step_by(2).collect();
    ["{", "fn ", "impl ", "trait ", "extern "].iter().any(|next| code.contains(&format!("unsafe {next}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_found_in_code_and_not_in_comments() {
        assert!(says_unsafe("    unsafe { call() }"));
        assert!(says_unsafe("pub unsafe fn call() {}"));
        assert!(!says_unsafe("// an unsafe { block } in a comment"));
        assert!(!says_unsafe("#![forbid(unsafe_code)]"));
    }
}
