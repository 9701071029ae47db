//! OCI runtimes instead of Sampan's own isolation: `runc`, `crun`, `runsc`, or any program with
//! their command line. They run in the instance's cgroup and network, in process and mount
//! namespaces that end with them, on a root that is mounted already; `bundle.rs` writes their
//! configuration.

mod bundle;
mod seccomp;

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use bundle::{Bundle, INIT, config};

/// Name of Sampan's own isolation, among those of runtimes.
pub const OWN: &str = "sampan";
/// Runtimes that the doctor looks for, and the name of each check.
const KNOWN: &[(&str, &str)] = &[("runc", "runtime runc"), ("crun", "runtime crun"), ("runsc", "runtime runsc")];
/// Directories searched for runtimes, beside the platform's `PATH`: a service may have a short one.
const PLACES: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A runtime that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    name: String,
    program: PathBuf,
    kind: Kind,
}

/// Behaviour of a runtime beyond the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `runc`, and compatible runtimes.
    Runc,
    /// `crun`.
    Crun,
    /// gVisor: a kernel of its own in a process.
    Runsc,
    /// Unknown runtime.
    Other,
}

/// Error for a runtime that was not found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the runtime {name:?} is not on this machine{}; install it or name another one", reason(path.as_deref()))]
pub struct NotFound {
    name: String,
    path: Option<PathBuf>,
}

fn reason(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" ({} is no program)", path.display()))
}

impl Runtime {
    /// Finds the runtime of a name, or at an absolute path.
    pub fn find(name: &str) -> Result<Self, NotFound> {
        let given = Path::new(name);
        let program = if given.is_absolute() {
            is_program(given).then(|| given.to_owned())
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let places = std::env::split_paths(&path).chain(PLACES.iter().map(PathBuf::from));
            places.map(|place| place.join(name)).find(|file| !name.contains('/') && is_program(file))
        };
        let path = given.is_absolute().then(|| given.to_owned());
        let program = program.ok_or_else(|| NotFound { name: name.to_owned(), path })?;
        let kind = Kind::of(&program);
        Ok(Self { name: name.to_owned(), program, kind })
    }

    /// The well-known runtimes, and the doctor's name of each.
    pub(crate) fn known() -> impl Iterator<Item = (&'static str, Option<Self>)> {
        KNOWN.iter().map(|(name, shown)| (*shown, Self::find(name).ok()))
    }

    /// The name that it was requested by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Path of its program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The first line of its version output; `None` when it cannot be run.
    pub fn version(&self) -> Option<String> {
        let said = Command::new(&self.program).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        said.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Its command line, in the directory of the bundle.
    pub(crate) fn argv(&self, id: &str) -> Vec<String> {
        let program = self.program.to_string_lossy().into_owned();
        let own: &[&str] = match self.kind {
            // A rootless runc ignores cgroups that it may not change; they are read-only, and their
            // limits are set already.
            Kind::Runc => &["--rootless", "true"],
            Kind::Crun => &["--cgroup-manager", "disabled"],
            // Its own network stack would take the link's address and hide the loopback, where
            // requests arrive.
            Kind::Runsc => &["--ignore-cgroups", "--network", "host"],
            Kind::Other => &[],
        };
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        [vec![program], texts(&["--root", "state"]), texts(own), texts(&["run", "--bundle", ".", id])].concat()
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.program.display())
    }
}

impl Kind {
    fn of(program: &Path) -> Self {
        match program.file_name().and_then(|name| name.to_str()) {
            Some("runc") => Self::Runc,
            Some("crun") => Self::Crun,
            Some("runsc") => Self::Runsc,
            _ => Self::Other,
        }
    }

    /// Whether root inside is an unprivileged id of the host. gVisor mounts what a user namespace
    /// may not, and does not need one: no system call of the image reaches the host.
    pub(crate) fn maps_ids(self) -> bool {
        self != Self::Runsc
    }

    /// Whether it binds a directory without the mounts below it, even if recursion is requested.
    pub(crate) fn leaves_submounts(self) -> bool {
        self == Self::Crun
    }

    /// Whether the host's cgroups must be hidden from it although it does not use them: crun fails
    /// when it finds both versions at once.
    pub(crate) fn covers_cgroups(self) -> bool {
        self == Self::Crun
    }
}

/// Directories of every machine, over one of which the writable layer is mounted in the runtime's
/// own mount namespace: root inside, an unprivileged id, must be able to reach it, and might not
/// reach the platform's own folder.
const STAGES: &[&str] = &["/mnt", "/media", "/srv"];

/// Returns the first of them that does not hide the runtime itself.
pub(crate) fn stage(program: &Path) -> &'static str {
    let usable = |stage: &&&str| Path::new(stage).is_dir() && !program.starts_with(stage);
    STAGES.iter().find(usable).copied().unwrap_or("/mnt")
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_says_so() {
        let error = Runtime::find("no-such-runtime").expect_err("not there");
        assert!(error.to_string().contains("\"no-such-runtime\" is not on this machine; install it"), "{error}");
        let error = Runtime::find("/etc/passwd").expect_err("no program");
        assert!(error.to_string().contains("/etc/passwd is no program"), "{error}");
        assert!(Runtime::find("../bin/sh").is_err(), "a name or an absolute path");
    }

    #[test]
    fn one_is_found_by_name_or_path_and_known_by_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("crun");
        std::fs::write(&file, "#!/bin/sh\necho crun version 9\necho more\n").expect("written");
        assert!(Runtime::find(&file.to_string_lossy()).is_err(), "not executable");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("set");
        let found = Runtime::find(&file.to_string_lossy()).expect("there");
        assert_eq!((found.kind(), found.version().as_deref()), (Kind::Crun, Some("crun version 9")));
        let want = ["--root", "state", "--cgroup-manager", "disabled", "run", "--bundle", ".", "i-1"];
        assert_eq!(found.argv("i-1")[1..], want);
        assert_eq!(Runtime::find("sh").expect("on PATH").kind(), Kind::Other);
    }
}
