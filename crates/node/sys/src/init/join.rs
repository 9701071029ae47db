//! Joins the instance's cgroups and namespaces first, so that everything after it is accounted
//! there and ends there.

use super::child_state::Child;
use super::spec::InitSpec;
use super::step::Step;
use crate::calls::{Done, check, close, open};

/// Makes the kernel kill this process, and with it its whole pid namespace, when the thread that
/// started it ends, which is when the platform does. A change of credentials clears it. (A parent
/// that is gone already cannot be detected here: in its own pid namespace, the first process has
/// none.)
pub(super) fn end_with_platform(child: &mut Child<'_>) -> Done {
    child.at(Step::EndWithPlatform);
    // SAFETY: prctl with numbers touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }.into())
}

/// Cgroups first, so that everything after is accounted there; the cgroup namespace then shows them
/// as the root.
pub(super) fn join(child: &mut Child<'_>) -> Done {
    raise_oom_score(child.spec);
    join_cgroups(child)?;
    child.at(Step::CgroupNamespace);
    // SAFETY: unshare takes flags only.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into())?;
    join_network(child)?;
    child.at(Step::Mounts);
    // SAFETY: setns takes an open descriptor, unshare flags; directories of this process are its
    // own (no CLONE_FS).
    unsafe {
        check(libc::setns(child.fds.bare, libc::CLONE_NEWNS).into())?;
        check(libc::unshare(libc::CLONE_NEWNS).into())
    }
}

pub(super) fn join_cgroups(child: &mut Child<'_>) -> Done {
    child.at(Step::JoinCgroup);
    for tasks in &child.fds.cgroup_v1_tasks {
        // SAFETY: one byte of a constant is written to an open descriptor.
        check(unsafe { libc::write(*tasks, b"0".as_ptr().cast(), 1) } as i64)?;
    }
    Ok(())
}

/// Makes the OOM killer choose this process before others when the whole machine is short of
/// memory. Set by root, it is also the minimum for the instance (proc_pid_oom_score_adj(5)). A
/// score that is higher already may not be lowered, and stays.
pub(super) fn raise_oom_score(spec: &InitSpec) {
    let Ok(file) = open(libc::AT_FDCWD, c"/proc/self/oom_score_adj", libc::O_WRONLY | libc::O_CLOEXEC, 0) else {
        return;
    };
    // SAFETY: pointer and length are of a string that outlives the call; the descriptor is open.
    unsafe { libc::write(file, spec.process.oom_score_adj.as_ptr().cast(), spec.process.oom_score_adj.count_bytes()) };
    close(file);
}

pub(super) fn join_network(child: &mut Child<'_>) -> Done {
    child.at(Step::JoinNetwork);
    // SAFETY: setns takes an open descriptor.
    check(unsafe { libc::setns(child.fds.network, libc::CLONE_NEWNET) }.into())
}
