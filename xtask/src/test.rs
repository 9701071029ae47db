//! Runs every check: tidy, format, lints, licences, unit tests, and end-to-end tests on the real
//! binary.

use std::path::Path;

use crate::process::{self, build_example, build_sampan, cargo};
use crate::{packages, tidy};

/// Installs required programs and runs all checks; stops at the first failure.
pub fn run(root: &Path, filter: Option<&str>, no_install: bool) -> anyhow::Result<()> {
    let python = packages::install(root, no_install)?;
    if filter.is_none() {
        tidy::run(root, false)?;
        process::run(cargo(root).args(["fmt", "--all", "--check"]))?;
        process::run(cargo(root).args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
        // Advisories need a downloaded database; licences, sources and duplicates do not.
        process::run(cargo(root).args(["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    }
    let sampan = build_sampan(root, "dev")?;
    let (hello, hostile) = (build_example(root, "hello")?, build_example(root, "hostile")?);
    let mut tests = cargo(root);
    tests.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast"]).args(filter);
    tests.env("SAMPAN_BIN", sampan).env("SAMPAN_HELLO", hello).env("SAMPAN_HOSTILE", hostile);
    tests.env("SAMPAN_PYTHON", python.join("bin/python"));
    process::run(&mut tests)
}
