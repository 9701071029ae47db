//! The specification of one instance, in the structure that its init processes.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use zeroize::Zeroize;

use crate::instance_mounts::InstanceMounts;
use crate::tree::ReadOnlyTree;

/// Everything that an init needs, made ready by the parent.
pub struct InitSpec {
    /// Where its resources are counted and limited.
    pub cgroup: Cgroup,
    /// Namespaces that it joins.
    pub namespaces: Namespaces,
    /// Its root file system.
    pub rootfs: Rootfs,
    /// What is made in that.
    pub files: Files,
    /// What of the kernel it does not see, or may not write.
    pub masks: Masks,
    /// The program and its environment.
    pub process: Process,
    /// As whom it runs, and what it may do.
    pub credentials: Credentials,
    /// Its output.
    pub stdio: Stdio,
    /// The program is an OCI runtime, which makes the instance: it gets the root, and isolates by
    /// itself.
    pub oci_runtime: Option<OciRuntime>,
}

/// Cgroups of both versions.
pub struct Cgroup {
    /// `tasks` files of cgroup v1 directories, for the child to write itself into.
    pub v1_tasks: Vec<OwnedFd>,
    /// Directory of cgroup v2 to start in.
    pub v2_directory: Option<OwnedFd>,
    /// What it sees of its cgroups, at `/sys/fs/cgroup`.
    pub view: ReadOnlyTree,
}

/// Namespaces made ahead; those for processes, System V IPC, host name and cgroups are made by the
/// start.
pub struct Namespaces {
    /// Mount namespace that has an empty directory alone: a copy of it becomes the instance's.
    pub mounts: Arc<OwnedFd>,
    /// Network namespace.
    pub network: Arc<OwnedFd>,
    /// User namespace.
    pub user: Arc<OwnedFd>,
    /// Host name inside.
    pub hostname: CString,
}

/// The root: an overlay of the layers under a writable one, and the mounts inside.
pub struct Rootfs {
    /// Directory over which the child builds the root, in its own mount namespace: the root of
    /// `Namespaces::mounts`, or an empty one of the host's for an OCI runtime.
    pub stage: CString,
    /// Detached trees of the lower layers, topmost first.
    pub lowers: Vec<OwnedFd>,
    /// Names `l0`, `l1`… of the places where they are attached, as many as there are lowers.
    pub lower_names: Vec<CString>,
    /// Options of the overlay: `lowerdir=l0:l1,upperdir=u,workdir=w,…`.
    pub overlay_options: CString,
    /// Host id of the instance's root: owner of what the child makes in the writable layer.
    pub owner: u32,
    /// Mounts made ahead.
    pub mounts: InstanceMounts,
    /// What becomes of `/tmp`.
    pub tmp: Tmp,
    /// Directories of the host in it.
    pub binds: Vec<Bind>,
}

/// A directory of the host, detached, and its place in the root.
pub struct Bind {
    /// The mount.
    pub tree: OwnedFd,
    /// Where; no part of the path is a link.
    pub target: CString,
    /// Directories that are made for it, parents first.
    pub dirs: Vec<NewDir>,
}

/// What the image has at `/tmp`.
pub enum Tmp {
    /// Nothing of its own: the mount made ahead is attached there.
    Mounted(CString),
    /// Files of its own: it stays in the writable layer, and is opened to everyone where it is not
    /// yet.
    Kept(Option<Target>),
}

/// Files and directories made in the root.
pub struct Files {
    /// Directories for the files of `/etc`.
    pub etc_dirs: Vec<NewDir>,
    /// Files put in place, such as `/etc/hosts`.
    pub etc: Vec<EtcFile>,
    /// Where these are put.
    pub placement: Placement,
    /// Other directories, parents first.
    pub dirs: Vec<NewDir>,
    /// Directories in the mount at `/tmp`.
    pub dirs_in_tmp: Vec<NewDir>,
}

/// Where the files of `/etc` and their directories are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Into the writable layer before the root is there: each stands in the place of nothing, or of
    /// one of its kind.
    WritableLayer,
    /// Into the root, in the place of whatever file the image has there.
    Root,
}

/// A file that the platform puts into the instance.
pub struct EtcFile {
    /// Where.
    pub target: Target,
    /// Its content.
    pub content: Vec<u8>,
}

/// A directory made in the instance, if nothing is there.
pub struct NewDir {
    /// Where.
    pub target: Target,
    /// Its mode.
    pub mode: u32,
    /// Host ids of its user and group.
    pub owner: (u32, u32),
}

/// A place in the root. What is before its name has no links; the child follows none outside of the
/// root all the same.
pub struct Target {
    /// The directory that it is in; `.` for the root.
    pub parent: CString,
    /// Its name there.
    pub name: CString,
    /// Both, from the root.
    pub path: CString,
}

/// Paths of `/proc` that are covered; those of `/sys` are covered ahead
/// ([`crate::instance_mounts::Options`]).
pub struct Masks {
    /// Covered with `/dev/null` or an empty directory.
    pub proc: Vec<MaskedPath>,
    /// Names below `/proc` that become read-only.
    pub read_only_proc: Vec<CString>,
}

/// Something below `/proc` that an instance is not to see.
pub struct MaskedPath {
    /// Its path there.
    pub name: CString,
    /// A directory, not a file.
    pub is_dir: bool,
}

/// The program.
pub struct Process {
    /// What is added to its out-of-memory score, in decimal.
    pub oom_score_adj: CString,
    /// Resource limits: resource, soft, hard.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// Directory to start in, as the way to it from the root: made where missing. Empty for the
    /// root itself.
    pub working_dir: Vec<PathStep>,
    /// An init program, executed in the place of `programs`; `argv` names what it runs.
    pub init: Option<OwnedFd>,
    /// Files to try to execute, in order, as `execvp` does.
    pub programs: Vec<CString>,
    /// Arguments, the program's name first.
    pub argv: Vec<CString>,
    /// Environment, `KEY=value`.
    pub env: Vec<CString>,
}

impl Drop for Process {
    /// Values of secrets are among the variables: they are not left in memory that is free.
    fn drop(&mut self) {
        for variable in std::mem::take(&mut self.env) {
            variable.into_bytes().zeroize();
        }
    }
}

/// One step on the way to a directory inside the instance.
pub struct PathStep {
    /// The whole path up to here, relative to the root.
    pub path: CString,
    /// Its last part.
    pub name: CString,
}

/// User, groups and rights.
pub struct Credentials {
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
}

/// Pipes for output; input is empty.
pub struct Stdio {
    /// Standard output.
    pub stdout: OwnedFd,
    /// Standard error.
    pub stderr: OwnedFd,
}

/// What an OCI runtime needs around it. The writable layer, and the root in it as `r`, are attached
/// at the stage; beside it are the mounts made ahead, as `sys`, `tmp` and `shm`, directories of the
/// host by the names of `bind_names`, and an empty directory `state`.
pub struct OciRuntime {
    /// What is to be made: `config.json` at the stage.
    pub config: Vec<u8>,
    /// Where cgroups are mounted on the host; made read-only for the runtime, which has no business
    /// there.
    pub cgroups: CString,
    /// Cover them with an empty directory instead.
    pub covers_cgroups: bool,
    /// Put the user namespace at the stage, as `user`.
    pub joins_user: bool,
    /// Names at the stage of the directories of the host, as many as there are.
    pub bind_names: Vec<CString>,
    /// A program to put at the stage, as `init`.
    pub init: Option<&'static [u8]>,
}
