//! The initial environment of the program: host name, working directory, input and output.

use super::child_state::Child;
use super::fds::InheritedFds;
use super::spec::InitSpec;
use super::step::Step;
use crate::calls::{Done, check, make_dir, open, open_inside};

/// Sets the host name, working directory and output, which requires the host's privileges.
pub(super) fn settle(child: &mut Child<'_>) -> Done {
    let spec = child.spec;
    child.at(Step::Hostname);
    let name = &child.spec.namespaces.hostname;
    // SAFETY: pointer and length are of a string that outlives the call.
    check(unsafe { libc::sethostname(name.as_ptr(), name.count_bytes()) }.into())?;
    child.at(Step::WorkingDir);
    working_dir(spec)?;
    child.at(Step::Stdio);
    stdio(&child.fds)?;
    Ok(())
}

/// Creates missing directories of the working directory's path, as container runtimes do, and
/// enters it. Links are followed inside the root only and those of `/proc/self/fd` never:
/// descriptors of the host's directories are still open.
fn working_dir(spec: &InitSpec) -> Done {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let root = open(libc::AT_FDCWD, c"/", flags, 0)?;
    let mut dir = root;
    for step in &spec.process.working_dir {
        dir = match open_inside(root, &step.path, flags, 0) {
            Err(libc::ENOENT) => {
                make_dir(dir, &step.name, spec.rootfs.owner)?;
                open_inside(root, &step.path, flags, 0)?
            }
            other => other?,
        };
    }
    // SAFETY: the descriptor is an open directory.
    check(unsafe { libc::fchdir(dir) }.into())
}

/// Standard input is empty; output goes to the parent's pipes; the process leads a session of its
/// own.
pub(super) fn stdio(fds: &InheritedFds) -> Done {
    let null = open(libc::AT_FDCWD, c"/dev/null", libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    for (from, to) in [(null, 0), (fds.stdout, 1), (fds.stderr, 2)] {
        // SAFETY: both are descriptors of this process's own table.
        check(unsafe { libc::dup2(from, to) }.into())?;
    }
    // SAFETY: setsid takes nothing.
    check(unsafe { libc::setsid() }.into())
}
