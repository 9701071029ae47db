//! Compiles the program of `init/init.rs`: static, from `core` alone, with the crate's compiler.

use std::env;
use std::path::Path;
use std::process::Command;

/// Small, at a fixed address, and without other objects.
const FLAGS: &[&str] = &[
    "--edition=2024",
    "--crate-name=init",
    "--crate-type=bin",
    "-Cpanic=abort",
    "-Copt-level=s",
    "-Ccodegen-units=1",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static",
    "-Cstrip=symbols",
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-Wl,--build-id=none",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=init");
    let of_cargo = |name: &str| env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"));
    let mut compiler = Command::new(of_cargo("RUSTC"));
    compiler.args(FLAGS).arg("--target").arg(of_cargo("TARGET"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={}", Path::new(&linker).display()));
    }
    let program = Path::new(&of_cargo("OUT_DIR")).join("init");
    let status = compiler.arg("-o").arg(program).arg("init/init.rs").status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the init of instances could not be built; it needs cc to link"
    );
}
