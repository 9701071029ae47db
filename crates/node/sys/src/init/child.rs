//! What the child does between `clone3` and `execve`, in order. System calls only: it shares our memory, so it must not
//! allocate, lock, or touch a thread-local other than `errno`, which the suspended parent thread does not use meanwhile.

use std::ffi::{CStr, c_void};
use std::os::fd::RawFd;

use crate::ahead::stage::{EMPTY, LOWERS, ROOT, UPPER};
use crate::ahead::{mask_sys, mode, seal_empty};
use crate::calls::{
    Done, check, clone_tree, close, cover, errno, give, make_dir, mount, mount_new, mount_point, move_mount,
    move_mount_at, open, open_inside,
};
use crate::capability;
use crate::mount::{DATA_ONLY, READ_ONLY};
use crate::spawn::{Files, Injected, InjectedDir, InjectedFile, Plan, Shared, Step, Target, Tmp};

mod hosted;

/// Capabilities that any kernel may have.
const CAPABILITIES: u32 = 64;
/// The last real-time signal (`_NSIG`, asm-generic/signal.h).
const SIGNAL_MAX: i32 = 64;
/// The first descriptor that is not input or output.
const INIT: RawFd = 3;
/// Exit code of a child that could not execute; nobody sees it but the parent that reaps it.
const EXIT_FAILED: i32 = 127;

/// Entry of the child.
pub(crate) extern "C" fn run(argument: *mut c_void) -> ! {
    // SAFETY: the parent passes a pointer to its `Shared`, which it does not touch until we execute or end.
    let shared = unsafe { &mut *argument.cast::<Shared<'_>>() };
    default_signals();
    let prepared = match end_with_platform(shared).and_then(|()| take_files(shared)) {
        Err(errno) => Err(errno),
        Ok(()) if shared.plan.hosted.is_some() => hosted::prepare(shared),
        Ok(()) => prepare(shared),
    };
    let errno = match prepared {
        Err(errno) => errno,
        Ok(()) => execute(shared),
    };
    shared.errno = errno;
    // SAFETY: _exit ends this process only.
    unsafe { libc::_exit(EXIT_FAILED) }
}

/// Has the kernel kill this process, and with it all of its process namespace, when the thread that started it ends, which is
/// when the platform does. A change of credentials undoes it. (A parent that is gone already cannot be told from here: in a
/// process namespace of its own a process has none.)
fn end_with_platform(shared: &mut Shared<'_>) -> Done {
    shared.at(Step::EndWithPlatform);
    // SAFETY: prctl with numbers touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }.into())
}

/// From here on the table of descriptors is ours alone: what we open in it goes with us, however we end.
fn take_files(shared: &mut Shared<'_>) -> Done {
    let Some(above) = shared.files_above else { return Ok(()) };
    shared.at(Step::Files);
    // SAFETY: with CLOSE_RANGE_UNSHARE the call closes nothing of the parent's: the range is left out of our new table.
    check(unsafe { libc::syscall(libc::SYS_close_range, above, u32::MAX, libc::CLOSE_RANGE_UNSHARE) })
}

fn prepare(shared: &mut Shared<'_>) -> Done {
    // The daemon's umask must not decide who may read what we make.
    // SAFETY: umask takes a number; this process has a copy of the file system attributes (no CLONE_FS).
    unsafe { libc::umask(0) };
    join(shared)?;
    build_root(shared)?;
    settle(shared)?;
    give_up_rights(shared)
}

/// Cgroups first, so that all that follows is counted there; the namespace then shows them as the root.
fn join(shared: &mut Shared<'_>) -> Done {
    raise_oom_score(shared.plan);
    join_cgroups(shared)?;
    shared.at(Step::CgroupNamespace);
    // SAFETY: unshare takes flags only.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into())?;
    join_network(shared)?;
    shared.at(Step::Mounts);
    // SAFETY: setns takes an open descriptor, unshare flags; directories of this process are its own (no CLONE_FS).
    unsafe {
        check(libc::setns(shared.files.bare, libc::CLONE_NEWNS).into())?;
        check(libc::unshare(libc::CLONE_NEWNS).into())
    }
}

fn join_cgroups(shared: &mut Shared<'_>) -> Done {
    shared.at(Step::JoinCgroup);
    for tasks in &shared.files.cgroup_v1_tasks {
        // SAFETY: one byte of a constant is written to an open descriptor.
        check(unsafe { libc::write(*tasks, b"0".as_ptr().cast(), 1) } as i64)?;
    }
    Ok(())
}

/// Makes the kernel end this process before others when the whole machine is short of memory. As root's doing it is also the
/// least that the instance can have (proc_pid_oom_score_adj(5)). One that is higher already may not be lowered, and stays.
fn raise_oom_score(plan: &Plan) {
    let Ok(file) = open(libc::AT_FDCWD, c"/proc/self/oom_score_adj", libc::O_WRONLY | libc::O_CLOEXEC, 0) else {
        return;
    };
    // SAFETY: pointer and length are of a string that outlives the call; the descriptor is open.
    unsafe { libc::write(file, plan.oom_score_adj.as_ptr().cast(), plan.oom_score_adj.count_bytes()) };
    close(file);
}

fn join_network(shared: &mut Shared<'_>) -> Done {
    shared.at(Step::JoinNetwork);
    // SAFETY: setns takes an open descriptor.
    check(unsafe { libc::setns(shared.files.network, libc::CLONE_NEWNET) }.into())
}

/// The root of the instance, built in this process's own mount namespace, and nothing of the host's left in it.
fn build_root(shared: &mut Shared<'_>) -> Done {
    let plan = shared.plan;
    let root = overlay(shared)?;
    // Before anything of the kernel's is mounted there, so that no link of the image's leads to it.
    put_files(shared, root)?;
    shared.at(Step::Proc);
    let proc = mount_new(root, plan.owner, c"proc", c"proc", None, DATA_ONLY)?;
    shared.at(Step::Dev);
    attach(root, plan.owner, c"dev", shared.files.dev)?;
    attach(root, plan.owner, c"dev/pts", shared.files.terminals)?;
    attach(root, plan.owner, c"dev/shm", shared.files.shared_memory)?;
    shared.at(Step::Sys);
    attach(root, plan.owner, c"sys", shared.files.sys)?;
    show_cgroups(shared)?;
    shared.at(Step::Tmpfs);
    if let Tmp::Mounted(place) = &plan.tmp {
        attach(root, plan.owner, place, shared.files.tmp)?;
    }
    shared.at(Step::Mask);
    mask(proc, shared)?;
    shared.at(Step::Root);
    cover_root(root, shared)
}

/// The writable layer over the image's, in a mount namespace of this process's own and private; nothing of it is in the host's.
fn overlay(shared: &mut Shared<'_>) -> Result<RawFd, i32> {
    let plan = shared.plan;
    shared.at(Step::Stage);
    stage(shared)?;
    shared.at(Step::Lower);
    lowers(shared)?;
    if plan.injected == Injected::Ahead {
        shared.at(Step::File);
        lay_files(plan)?;
    }
    shared.at(Step::Overlay);
    // Programs gain nothing by set-id bits and file capabilities in any case (no_new_privs). But the kernel refuses to execute
    // one whose capabilities are outside of the bounding set (EPERM), unless the mount has it ignore them.
    let flags = libc::MS_NODEV | libc::MS_NOSUID;
    mount(c"overlay", ROOT, Some(c"overlay"), flags, Some(&plan.overlay_options))?;
    open(libc::AT_FDCWD, ROOT, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)
}

/// Makes the files and directories that the platform has in every root, or the image's config wants in this one.
fn put_files(shared: &mut Shared<'_>, root: RawFd) -> Done {
    let plan = shared.plan;
    shared.at(Step::File);
    if plan.injected == Injected::Carefully {
        plan.dirs.iter().try_for_each(|dir| put_dir(root, dir))?;
        plan.files.iter().try_for_each(|file| put_file(root, plan, file))?;
    }
    plan.made.iter().try_for_each(|dir| put_dir(root, dir))?;
    plan.made_in_tmp.iter().try_for_each(|dir| put_dir(shared.files.tmp, dir))?;
    match &plan.tmp {
        Tmp::Kept(Some(tmp)) => open_to_all(root, tmp),
        _ => Ok(()),
    }
}

/// What needs the host's privileges but is seen by the program: name, directory, output.
fn settle(shared: &mut Shared<'_>) -> Done {
    let plan = shared.plan;
    shared.at(Step::Hostname);
    // SAFETY: pointer and length are of a string that outlives the call.
    check(unsafe { libc::sethostname(plan.hostname.as_ptr(), plan.hostname.count_bytes()) }.into())?;
    shared.at(Step::WorkingDir);
    working_dir(plan)?;
    shared.at(Step::Stdio);
    stdio(&shared.files)?;
    Ok(())
}

/// From the host's root to the image's user, in an order in which each step still may be done.
fn give_up_rights(shared: &mut Shared<'_>) -> Done {
    let plan = shared.plan;
    shared.at(Step::NoNewPrivileges);
    // SAFETY: prctl with numbers touches no memory.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    // While this is root outside, too: the kernel compiles its filters however much others have compiled already
    // (net.core.bpf_jit_limit). All that follows must be allowed by it.
    shared.at(Step::Seccomp);
    seccomp(plan)?;
    shared.at(Step::JoinUser);
    // SAFETY: setns takes an open descriptor; this process has one thread and its own memory view of namespaces.
    check(unsafe { libc::setns(shared.files.user, libc::CLONE_NEWUSER) }.into())?;
    shared.at(Step::Capabilities);
    drop_bounding(plan.capabilities)?;
    shared.at(Step::Identity);
    identity(plan)?;
    shared.at(Step::Capabilities);
    // Root keeps the listed ones; anyone else lost all of them with the change of user.
    capability::set(if plan.uid == 0 { plan.capabilities } else { 0 })?;
    // The changes of credentials above have undone it.
    end_with_platform(shared)?;
    // Not only marked to close at execve: the program's path could lead through `/proc/self/fd` to one of them.
    close_all(shared.files.init)?;
    limit(shared)
}

/// Only when all is closed: our copy of the platform's descriptors may hold more than the program is allowed, and none could
/// be opened.
fn limit(shared: &mut Shared<'_>) -> Done {
    shared.at(Step::Limits);
    for (resource, soft, hard) in &shared.plan.rlimits {
        let limit = libc::rlimit { rlim_cur: *soft, rlim_max: *hard };
        // SAFETY: the structure is a local; 0 is this process.
        check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, *resource, &limit, std::ptr::null::<libc::rlimit>()) })?;
    }
    Ok(())
}

/// All but input and output, and what is executed by its descriptor, which has [`INIT`] from then on.
fn close_all(init: Option<RawFd>) -> Done {
    if let Some(init) = init.filter(|number| *number != INIT) {
        // SAFETY: both are descriptors of this process's own table, and nothing else is needed any more.
        check(unsafe { libc::dup3(init, INIT, libc::O_CLOEXEC) }.into())?;
    }
    let first = if init.is_some() { INIT + 1 } else { INIT };
    // SAFETY: close_range closes descriptors of this process only (the table is its own).
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })
}

/// Executes the init where there is one; else tries each program in turn, as `execvp` does. Returns the error that says most.
fn execute(shared: &mut Shared<'_>) -> i32 {
    shared.at(Step::Execute);
    let none = 0_u64;
    // SAFETY: the raw call takes the kernel's 8-byte set, a local; umask takes a number.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &none, std::ptr::null::<u64>(), 8);
        libc::umask(0o022);
    }
    if shared.plan.init.is_some() {
        shared.at(Step::Init);
        let (empty, argv, env) = (c"".as_ptr(), shared.argv.as_ptr(), shared.env.as_ptr());
        // SAFETY: the empty path names the descriptor; the arrays of strings end in null.
        unsafe { libc::syscall(libc::SYS_execveat, INIT, empty, argv, env, libc::AT_EMPTY_PATH) };
        return errno();
    }
    let mut worst = libc::ENOENT;
    for program in &shared.plan.programs {
        // SAFETY: all three are terminated: a string, and arrays of strings that end in null.
        unsafe { libc::syscall(libc::SYS_execve, program.as_ptr(), shared.argv.as_ptr(), shared.env.as_ptr()) };
        match errno() {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => worst = libc::EACCES,
            other => return other,
        }
    }
    worst
}

/// The parent blocked all signals for our sake, and CLONE_CLEAR_SIGHAND keeps those that it ignores (SIGPIPE) ignored: the program
/// starts with none of either. The mask comes last; the handlers now, while no filter looks at each of these calls.
fn default_signals() {
    let default = [0_u64; 4];
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: the kernel's sigaction is four words on this architecture, all zero for the default handler; it refuses
        // the two signals that have none.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &default, std::ptr::null::<u64>(), 8) };
    }
}

/// Attaches the stage and goes there.
fn stage(shared: &Shared<'_>) -> Done {
    let stage = shared.files.stage;
    let point = open(libc::AT_FDCWD, &shared.plan.stage, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)?;
    move_mount(stage, point)?;
    close(point);
    // SAFETY: the descriptor is open; this process has a copy of the file system attributes (no CLONE_FS).
    check(unsafe { libc::fchdir(stage) }.into())?;
    if shared.plan.mounts.left.is_some() {
        seal_empty(stage)?;
    }
    Ok(())
}

fn lowers(shared: &Shared<'_>) -> Done {
    for (number, (tree, name)) in shared.files.lowers.iter().zip(&shared.plan.lower_names).enumerate() {
        if number >= LOWERS.len() {
            make_dir(libc::AT_FDCWD, name, shared.plan.owner)?;
        }
        let target = open(libc::AT_FDCWD, name, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)?;
        move_mount(*tree, target)?;
        close(target);
    }
    Ok(())
}

/// Attaches a mount inside the root; its place is made where the image lacks it.
fn attach(root: RawFd, owner: u32, target: &CStr, made: RawFd) -> Done {
    let point = mount_point(root, owner, target)?;
    move_mount(made, point)?;
    close(point);
    Ok(())
}

/// Attaches what the instance sees of its cgroups. The kernel has a place for it in `/sys`, so that no link of the image's is
/// on the way.
fn show_cgroups(shared: &mut Shared<'_>) -> Done {
    shared.at(Step::CgroupView);
    let files = &shared.files;
    move_mount_at(files.cgroup_view, files.sys, c"fs/cgroup")?;
    for (branch, mount) in shared.plan.cgroup_view.left.iter().zip(&files.cgroup_view_left) {
        move_mount_at(*mount, files.cgroup_view, &branch.name)?;
    }
    Ok(())
}

/// Makes the files in the writable layer while nothing is over it: there it takes a fraction of what it does in the overlay.
fn lay_files(plan: &Plan) -> Done {
    let upper = open(libc::AT_FDCWD, UPPER, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)?;
    for dir in &plan.dirs {
        // SAFETY: the path is terminated.
        check(unsafe { libc::mkdirat(upper, dir.target.path.as_ptr(), dir.mode) }.into())?;
        give(upper, &dir.target.path, plan.owner)?;
    }
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC;
    for file in &plan.files {
        fill(open(upper, &file.target.path, flags, 0o644)?, plan, file)?;
    }
    close(upper);
    Ok(())
}

/// The directory that a target is in. No link of the image's leads out of the root.
fn parent_of(root: RawFd, target: &Target) -> Result<RawFd, i32> {
    open_inside(root, &target.parent, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)
}

/// Makes a directory, unless something is there.
fn put_dir(root: RawFd, dir: &InjectedDir) -> Done {
    let (parent, (user, group)) = (parent_of(root, &dir.target)?, dir.owner);
    // SAFETY: the name is terminated; the descriptor is a directory.
    let made = check(unsafe { libc::mkdirat(parent, dir.target.name.as_ptr(), dir.mode) }.into());
    let done = match made {
        // SAFETY: as above; a link that may be there is not followed.
        Ok(()) => check(
            unsafe { libc::fchownat(parent, dir.target.name.as_ptr(), user, group, libc::AT_SYMLINK_NOFOLLOW) }.into(),
        ),
        Err(libc::EEXIST) => Ok(()),
        failed => failed,
    };
    close(parent);
    done
}

/// Puts a file in the place of what the image has there, a link among it. A directory stays.
fn put_file(root: RawFd, plan: &Plan, file: &InjectedFile) -> Done {
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let parent = parent_of(root, &file.target)?;
    // SAFETY: the name is terminated; the descriptor is a directory.
    let removed = check(unsafe { libc::unlinkat(parent, file.target.name.as_ptr(), 0) }.into());
    let done = match removed {
        Ok(()) | Err(libc::ENOENT) => {
            open(parent, &file.target.name, flags, 0o644).and_then(|target| fill(target, plan, file))
        }
        Err(libc::EISDIR) => Ok(()),
        failed => failed,
    };
    close(parent);
    done
}

/// Gives the image's `/tmp` the mode that programs expect.
fn open_to_all(root: RawFd, tmp: &Target) -> Done {
    let parent = parent_of(root, tmp)?;
    let done = mode(parent, &tmp.name, 0o1777);
    close(parent);
    done
}

fn fill(target: RawFd, plan: &Plan, file: &InjectedFile) -> Done {
    // SAFETY: pointer and length are of a slice that outlives the call; the descriptor is open.
    check(unsafe { libc::write(target, file.content.as_ptr().cast(), file.content.len()) } as i64)?;
    // SAFETY: the descriptor is open.
    check(unsafe { libc::fchown(target, plan.owner, plan.owner) }.into())?;
    close(target);
    Ok(())
}

/// Puts the root over all that it was built on, and enters it. What is below is only this instance's own layers and an empty
/// directory; whoever leaves his root there comes to the uppermost mount again. `pivot_root` would do the same, but asks
/// every thread of the machine whether it stands in the old root.
fn cover_root(root: RawFd, shared: &Shared<'_>) -> Done {
    move_mount(root, shared.files.stage)?;
    // SAFETY: the descriptor is a directory; the strings are constants.
    unsafe {
        check(libc::fchdir(root).into())?;
        check(libc::chroot(c".".as_ptr()).into())
    }
}

/// Covers kernel paths with what is there already: file systems of their own would take the start as long as those that it
/// needs. Names below `/proc` are the kernel's, so that no link of the image's is on the way.
fn mask(proc: RawFd, shared: &Shared<'_>) -> Done {
    let (plan, files) = (shared.plan, &shared.files);
    for name in &plan.read_only {
        match clone_tree(proc, name) {
            Err(libc::ENOENT) => {}
            tree => cover(proc, name, tree?, READ_ONLY | DATA_ONLY)?,
        }
    }
    for masked in &plan.masked_proc {
        let over = if masked.is_dir { clone_tree(files.stage, EMPTY) } else { clone_tree(files.dev, c"null") };
        match cover(proc, &masked.name, over?, 0) {
            Err(libc::ENOENT) => {}
            other => other?,
        }
    }
    match &plan.mounts.left {
        Some(left) => mask_sys(files.sys, files.stage, &left.masked_sys),
        None => Ok(()),
    }
}

/// Makes what is missing of the working directory, as container runtimes do, and enters it. Links are followed inside the
/// root only and those of `/proc/self/fd` never: our descriptors of the host's directories are still open.
fn working_dir(plan: &Plan) -> Done {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let root = open(libc::AT_FDCWD, c"/", flags, 0)?;
    let mut dir = root;
    for step in &plan.working_dir {
        dir = match open_inside(root, &step.path, flags, 0) {
            Err(libc::ENOENT) => {
                make_dir(dir, &step.name, plan.owner)?;
                open_inside(root, &step.path, flags, 0)?
            }
            other => other?,
        };
    }
    // SAFETY: the descriptor is an open directory.
    check(unsafe { libc::fchdir(dir) }.into())
}

/// Standard input is empty; output goes to the parent's pipes; the process leads a session of its own.
fn stdio(files: &Files) -> Done {
    let null = open(libc::AT_FDCWD, c"/dev/null", libc::O_RDONLY | libc::O_CLOEXEC, 0)?;
    for (from, to) in [(null, 0), (files.stdout, 1), (files.stderr, 2)] {
        // SAFETY: both are descriptors of this process's own table.
        check(unsafe { libc::dup2(from, to) }.into())?;
    }
    // SAFETY: setsid takes nothing.
    check(unsafe { libc::setsid() }.into())
}

fn identity(plan: &Plan) -> Done {
    // The C library's wrappers would change every thread of the parent: the raw calls change this process.
    // SAFETY: the list's pointer and length belong together; the others take numbers.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, plan.groups.len(), plan.groups.as_ptr()))?;
        check(libc::syscall(libc::SYS_setresgid, plan.gid, plan.gid, plan.gid))?;
        check(libc::syscall(libc::SYS_setresuid, plan.uid, plan.uid, plan.uid))
    }
}

/// Joining a user namespace gives every capability and a full bounding set there, so the set is cut only now.
fn drop_bounding(keep: u64) -> Done {
    for capability in (0..CAPABILITIES).filter(|c| keep & (1 << c) == 0) {
        // SAFETY: prctl with numbers touches no memory.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            // Numbers beyond the kernel's last capability are refused, and end the list.
            return if errno() == libc::EINVAL { Ok(()) } else { Err(errno()) };
        }
    }
    Ok(())
}

fn seccomp(plan: &Plan) -> Done {
    let program = libc::sock_fprog {
        len: u16::try_from(plan.seccomp.len()).unwrap_or(u16::MAX),
        filter: plan.seccomp.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `sock_filter` is 8 bytes laid out as the plan's words, `len` of them; the kernel copies the program.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &program) })
}
