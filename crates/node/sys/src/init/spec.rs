//! Starts one isolated process: what it gets ([`Plan`]) and how that can fail ([`Failure`]).
//!
//! The child runs in our memory until `execve` (`CLONE_VM | CLONE_VFORK`), which costs microseconds whatever our size; it
//! makes system calls only, and tells what failed through a field of the plan.

use std::ffi::{CString, c_char, c_void};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::ahead::Mounts;
use crate::child;
use crate::clone::{Args, CLEAR_SIGHAND, INTO_CGROUP, clone3};
use crate::seats::Seats;
use crate::signals::BlockedSignals;
use crate::stack::Stack;
use crate::tree::ReadOnlyTree;

/// A place in the root. What is before its name has no links; the child follows none outside of the root all the same.
pub struct Target {
    /// The directory that it is in; `.` for the root.
    pub parent: CString,
    /// Its name there.
    pub name: CString,
    /// Both, from the root.
    pub path: CString,
}

/// A file that the platform puts into the instance.
pub struct InjectedFile {
    /// Where.
    pub target: Target,
    /// Its content.
    pub content: Vec<u8>,
}

/// A directory made in the instance, if nothing is there.
pub struct InjectedDir {
    /// Where.
    pub target: Target,
    /// Its mode.
    pub mode: u32,
    /// Host ids of its user and group.
    pub owner: (u32, u32),
}

/// What the image has at `/tmp`.
pub enum Tmp {
    /// Nothing of its own: the mount made ahead is attached there.
    Mounted(CString),
    /// Files of its own: it stays in the writable layer, and is opened to everyone where it is not yet.
    Kept(Option<Target>),
}

/// Where directories and files are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    /// Into the writable layer before the root is there: each stands in the place of nothing, or of one of its kind.
    Ahead,
    /// Into the root, in the place of whatever file the image has there.
    Carefully,
}

/// Something below `/proc` that an instance is not to see.
pub struct Masked {
    /// Its path there.
    pub name: CString,
    /// A directory, not a file.
    pub is_dir: bool,
}

/// One step on the way to a directory inside the instance.
pub struct PathStep {
    /// The whole path up to here, relative to the root.
    pub path: CString,
    /// Its last part.
    pub name: CString,
}

/// Everything the child needs, made ready by the parent: the child allocates nothing.
pub struct Plan {
    /// Mount namespace that has an empty directory alone: a copy of it becomes the instance's.
    pub bare: Arc<OwnedFd>,
    /// Directory over which the child builds the root, in its own mount namespace: the root of `bare`, or an empty one of
    /// the host's for another runtime.
    pub stage: CString,
    /// Detached trees of the lower layers, topmost first.
    pub lowers: Vec<OwnedFd>,
    /// Names `l0`, `l1`… of the places where they are attached, as many as there are lowers.
    pub lower_names: Vec<CString>,
    /// Options of the overlay: `lowerdir=l0:l1,upperdir=u,workdir=w,…`.
    pub overlay_options: CString,
    /// Host id of the instance's root: owner of what the child makes in the writable layer.
    pub owner: u32,
    /// `tasks` files of cgroup v1 directories, for the child to write itself into.
    pub cgroup_v1_tasks: Vec<OwnedFd>,
    /// Directory of cgroup v2 to start in.
    pub cgroup_v2: Option<OwnedFd>,
    /// What it sees of its cgroups, at `/sys/fs/cgroup`.
    pub cgroup_view: ReadOnlyTree,
    /// Network namespace.
    pub network: Arc<OwnedFd>,
    /// User namespace.
    pub user: Arc<OwnedFd>,
    /// What was made ahead.
    pub mounts: Mounts,
    /// Directories for the files.
    pub dirs: Vec<InjectedDir>,
    /// Files put in place, such as `/etc/hosts`.
    pub files: Vec<InjectedFile>,
    /// Where these are put.
    pub injected: Injected,
    /// Other directories that are made in the root, parents first.
    pub made: Vec<InjectedDir>,
    /// What becomes of `/tmp`.
    pub tmp: Tmp,
    /// Directories that are made in the mount there.
    pub made_in_tmp: Vec<InjectedDir>,
    /// What is covered below `/proc`, with `/dev/null` or an empty directory.
    pub masked_proc: Vec<Masked>,
    /// Names below `/proc` that become read-only.
    pub read_only: Vec<CString>,
    /// Host name inside.
    pub hostname: CString,
    /// What is added to its out-of-memory score, in decimal.
    pub oom_score_adj: CString,
    /// Resource limits: resource, soft, hard.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// Directory to start in, as the way to it from the root: made where missing. Empty for the root itself.
    pub working_dir: Vec<PathStep>,
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary group ids inside.
    pub groups: Vec<u32>,
    /// Bits of the capabilities that root keeps.
    pub capabilities: u64,
    /// Seccomp program, as `struct sock_filter` in 64 bits each.
    pub seccomp: &'static [u64],
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
    /// What to execute in the place of `programs`, to which it is told in `argv` what they are.
    pub init: Option<OwnedFd>,
    /// Files to try to execute, in order, as `execvp` does.
    pub programs: Vec<CString>,
    /// Arguments, the program's name first.
    pub argv: Vec<CString>,
    /// Environment, `KEY=value`.
    pub env: Vec<CString>,
    /// The program is another runtime, which makes the instance: it gets the root, and isolates by itself.
    pub hosted: Option<Hosted>,
}

/// What another runtime needs around it. The writable layer, and the root in it as `r`, are attached at the stage;
/// beside it are the mounts made ahead, as `sys`, `tmp` and `shm`, and an empty directory `state`.
pub struct Hosted {
    /// What is to be made: `config.json` at the stage.
    pub config: Vec<u8>,
    /// Where cgroups are mounted on the host; made read-only for the runtime, which has no business there.
    pub cgroups: CString,
    /// Cover them with an empty directory instead.
    pub covers_cgroups: bool,
    /// Put the user namespace at the stage, as `user`.
    pub joins_user: bool,
    /// A program to put at the stage, as `init`.
    pub init: Option<&'static [u8]>,
}

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The Display texts say what each is.
pub enum Step {
    Clone,
    EndWithPlatform,
    Files,
    JoinCgroup,
    CgroupNamespace,
    JoinNetwork,
    Mounts,
    Stage,
    Lower,
    Overlay,
    Proc,
    Dev,
    Sys,
    CgroupView,
    Tmpfs,
    File,
    Root,
    Mask,
    Hostname,
    Limits,
    WorkingDir,
    Stdio,
    JoinUser,
    Identity,
    Capabilities,
    NoNewPrivileges,
    Seccomp,
    HideCgroups,
    Bundle,
    Init,
    Execute,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clone => "starting a process",
            Self::EndWithPlatform => "binding its life to the platform's",
            Self::Files => "taking the descriptors it needs",
            Self::JoinCgroup => "joining the cgroup",
            Self::CgroupNamespace => "making a cgroup namespace",
            Self::JoinNetwork => "joining the network namespace",
            Self::Mounts => "making a mount namespace",
            Self::Stage => "attaching the writable layer",
            Self::Lower => "attaching an image layer",
            Self::Overlay => "mounting the overlay",
            Self::Proc => "mounting /proc",
            Self::Dev => "attaching /dev",
            Self::Sys => "attaching /sys",
            Self::CgroupView => "attaching /sys/fs/cgroup",
            Self::Tmpfs => "attaching /tmp",
            Self::File => "putting a file in place",
            Self::Root => "changing the root",
            Self::Mask => "masking a kernel path",
            Self::Hostname => "setting the host name",
            Self::Limits => "setting a resource limit",
            Self::WorkingDir => "entering the working directory",
            Self::Stdio => "connecting standard output",
            Self::JoinUser => "joining the user namespace",
            Self::Identity => "changing user and group",
            Self::Capabilities => "dropping capabilities",
            Self::NoNewPrivileges => "renouncing new privileges",
            Self::Seccomp => "installing the system call filter",
            Self::HideCgroups => "hiding cgroups from the runtime",
            Self::Bundle => "writing the runtime's bundle",
            Self::Init => "executing the init",
            Self::Execute => "executing the program",
        })
    }
}

/// Why no process was started.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
pub struct Failure {
    /// What was being done.
    pub step: Step,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// A started process.
pub struct Spawned {
    /// Its number in our pid namespace.
    pub pid: i32,
    /// Its descriptor; readable when it has ended.
    pub pidfd: OwnedFd,
}

/// Descriptors of the plan, by the numbers at which the child has them.
pub(crate) struct Files {
    pub lowers: Vec<RawFd>,
    pub cgroup_v1_tasks: Vec<RawFd>,
    pub cgroup_view: RawFd,
    /// Those of its mounts that are left to be attached.
    pub cgroup_view_left: Vec<RawFd>,
    pub bare: RawFd,
    pub network: RawFd,
    pub user: RawFd,
    pub stage: RawFd,
    pub dev: RawFd,
    pub terminals: RawFd,
    pub shared_memory: RawFd,
    pub tmp: RawFd,
    pub sys: RawFd,
    pub stdout: RawFd,
    pub stderr: RawFd,
    pub init: Option<RawFd>,
}

impl Files {
    fn of(plan: &Plan) -> Self {
        let Mounts { stage, dev, terminals, shared_memory, tmp, sys, left: _ } = &plan.mounts;
        Self {
            lowers: plan.lowers.iter().map(AsRawFd::as_raw_fd).collect(),
            cgroup_v1_tasks: plan.cgroup_v1_tasks.iter().map(AsRawFd::as_raw_fd).collect(),
            cgroup_view: plan.cgroup_view.root.as_raw_fd(),
            cgroup_view_left: plan.cgroup_view.left.iter().map(|branch| branch.mount.as_raw_fd()).collect(),
            bare: plan.bare.as_raw_fd(),
            network: plan.network.as_raw_fd(),
            user: plan.user.as_raw_fd(),
            stage: stage.as_raw_fd(),
            dev: dev.as_raw_fd(),
            terminals: terminals.as_raw_fd(),
            shared_memory: shared_memory.as_raw_fd(),
            tmp: tmp.as_raw_fd(),
            sys: sys.as_raw_fd(),
            stdout: plan.stdout.as_raw_fd(),
            stderr: plan.stderr.as_raw_fd(),
            init: plan.init.as_ref().map(AsRawFd::as_raw_fd),
        }
    }

    fn each(&mut self) -> impl Iterator<Item = &mut RawFd> {
        let Self {
            lowers,
            cgroup_v1_tasks,
            cgroup_view,
            cgroup_view_left,
            bare,
            network,
            user,
            stage,
            dev,
            terminals,
            shared_memory,
            tmp,
            sys,
            stdout,
            stderr,
            init,
        } = self;
        let others = [cgroup_view, bare, network, user, stage, dev, terminals, shared_memory, tmp, sys, stdout, stderr];
        lowers.iter_mut().chain(cgroup_v1_tasks).chain(cgroup_view_left).chain(others).chain(init)
    }
}

/// What the child reads and writes; plain data and pointers into the plan.
pub(crate) struct Shared<'a> {
    pub plan: &'a Plan,
    pub files: Files,
    /// The first number above all of `files`, when the child is to have no other descriptors and shares our table until then.
    pub files_above: Option<u32>,
    pub argv: Vec<*const c_char>,
    pub env: Vec<*const c_char>,
    pub step: Step,
    pub errno: i32,
}

impl Shared<'_> {
    /// Notes what is being done, for the parent to read should it fail.
    pub(crate) fn at(&mut self, step: Step) {
        self.step = step;
    }
}

/// Starts a process as `plan` says and returns when it executes its program, or could not.
pub fn spawn(plan: &Plan, stack: &mut Stack, seats: &mut Seats) -> Result<Spawned, Failure> {
    let pointers =
        |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let mut files = Files::of(plan);
    let seated = seats.seat(files.each()).map_err(|source| Failure { step: Step::Files, source })?;
    let mut shared = Shared {
        argv: pointers(&plan.argv),
        env: pointers(&plan.env),
        plan,
        files,
        files_above: seated.above(),
        step: Step::Clone,
        errno: 0,
    };
    let (base, size) = stack.range();
    // Another runtime needs the host's mounts around it; an instance of ours begins with none.
    let mounts = if plan.hosted.is_some() { libc::CLONE_NEWNS } else { 0 };
    let namespaces = mounts | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let ours = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    let mut pidfd: libc::c_int = -1;
    let mut args = Args {
        flags: (namespaces | ours) as u64 | CLEAR_SIGHAND,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: base,
        stack_size: size,
        ..Args::default()
    };
    if shared.files_above.is_some() {
        args.flags |= libc::CLONE_FILES as u64;
    }
    if let Some(cgroup) = &plan.cgroup_v2 {
        args.flags |= INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or_default();
    }
    let blocked = BlockedSignals::all();
    // SAFETY: the stack is ours alone (`&mut`), `shared` and the plan outlive the call, which returns only after the child
    // has executed or ended (CLONE_VFORK); `child::run` makes system calls only.
    let started = unsafe { clone3(&args, child::run, (&raw mut shared).cast::<c_void>()) };
    drop(blocked);
    crate::process::stay_undumpable();
    let pid = started.map_err(|source| Failure { step: Step::Clone, source })?;
    // SAFETY: CLONE_PIDFD stored a new descriptor, and nothing else has it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    if shared.errno != 0 {
        // It has ended with the error; reaping it leaves no zombie.
        crate::process::wait(&pidfd).ok();
        return Err(Failure { step: shared.step, source: io::Error::from_raw_os_error(shared.errno) });
    }
    Ok(Spawned { pid, pidfd })
}
