//! The description of one instance, in the parts in which its init uses them.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use zeroize::Zeroize;

use crate::instance_mounts::InstanceMounts;
use crate::tree::ReadOnlyTree;

/// Everything that an init needs, prepared by the parent.
pub struct InitSpec {
    /// Cgroups that account for and limit its resources.
    pub cgroup: Cgroup,
    /// Namespaces that it joins.
    pub namespaces: Namespaces,
    /// Its root file system.
    pub rootfs: Rootfs,
    /// Files and directories created in the root.
    pub files: Files,
    /// Masked and read-only paths of the kernel.
    pub masks: Masks,
    /// The program and its environment.
    pub process: Process,
    /// User, groups and privileges.
    pub credentials: Credentials,
    /// Its output.
    pub stdio: Stdio,
    /// Set if the program is an OCI runtime, which creates the instance from the root and isolates
    /// it.
    pub oci_runtime: Option<OciRuntime>,
}

/// Cgroups of both versions.
pub struct Cgroup {
    /// `tasks` files of cgroup v1 directories, which the child writes itself into.
    pub v1_tasks: Vec<OwnedFd>,
    /// Directory of cgroup v2 to start in.
    pub v2_directory: Option<OwnedFd>,
    /// Its view of its cgroups, at `/sys/fs/cgroup`.
    pub view: ReadOnlyTree,
}

/// Prepared namespaces; the start creates those for processes, System V IPC, host name and cgroups.
pub struct Namespaces {
    /// Mount namespace with an empty directory alone: a copy of it becomes the instance's.
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
    /// Names `l0`, `l1`… of the lower layers' mount points, as many as there are lowers.
    pub lower_names: Vec<CString>,
    /// Options of the overlay: `lowerdir=l0:l1,upperdir=u,workdir=w,…`.
    pub overlay_options: CString,
    /// Host id of the instance's root: owner of files that the child creates in the writable layer.
    pub owner: u32,
    /// Prepared mounts.
    pub mounts: InstanceMounts,
    /// How `/tmp` is set up.
    pub tmp: Tmp,
    /// Directories of the host that are mounted into it.
    pub binds: Vec<Bind>,
}

/// A directory of the host, detached, and its mount point.
pub struct Bind {
    /// The mount.
    pub tree: OwnedFd,
    /// The mount point; no component of the path is a link.
    pub target: CString,
    /// Directories to create for it, parents first.
    pub dirs: Vec<NewDir>,
}

/// Kinds of `/tmp`.
pub enum Tmp {
    /// Empty in the image: the prepared mount is attached there.
    Mounted(CString),
    /// Not empty in the image: it stays in the writable layer, with its mode set where there is a
    /// target.
    Kept(Option<Target>),
}

/// Files and directories created in the root.
pub struct Files {
    /// Directories for the files of `/etc`.
    pub etc_dirs: Vec<NewDir>,
    /// Files such as `/etc/hosts`.
    pub etc: Vec<EtcFile>,
    /// Where these are created.
    pub placement: Placement,
    /// Other directories, parents first.
    pub dirs: Vec<NewDir>,
    /// Directories in the mount at `/tmp`.
    pub dirs_in_tmp: Vec<NewDir>,
}

/// Where the files of `/etc` and their directories are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the writable layer before the overlay is mounted: each replaces nothing, or a file of its
    /// kind.
    WritableLayer,
    /// In the root, replacing any file of the image.
    Root,
}

/// A file that the platform creates in the instance.
pub struct EtcFile {
    /// Its place.
    pub target: Target,
    /// Its content.
    pub content: Vec<u8>,
}

/// A directory created in the instance, unless a file exists there.
pub struct NewDir {
    /// Its place.
    pub target: Target,
    /// Its mode.
    pub mode: u32,
    /// Host ids of its user and group.
    pub owner: (u32, u32),
}

/// A place in the root. The path before its name has no links; the child still follows none outside
/// of the root.
pub struct Target {
    /// Its parent directory; `.` for the root.
    pub parent: CString,
    /// Its name in the parent.
    pub name: CString,
    /// Both, from the root.
    pub path: CString,
}

/// Masked paths of `/proc`; those of `/sys` are masked ahead ([`crate::instance_mounts::Options`]).
pub struct Masks {
    /// Covered with `/dev/null` or an empty directory.
    pub proc: Vec<MaskedPath>,
    /// Names below `/proc` that become read-only.
    pub read_only_proc: Vec<CString>,
}

/// A masked path below `/proc`.
pub struct MaskedPath {
    /// Its path there.
    pub name: CString,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// The program.
pub struct Process {
    /// Added to its out-of-memory score, in decimal.
    pub oom_score_adj: CString,
    /// Resource limits: resource, soft, hard.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// Working directory, as the steps from the root: created where missing. Empty for the root
    /// itself.
    pub working_dir: Vec<PathStep>,
    /// An init program, executed instead of `programs`; `argv` is the command that it runs.
    pub init: Option<OwnedFd>,
    /// Files to try to execute, in order, as `execvp` does.
    pub programs: Vec<CString>,
    /// Arguments, the program's name first.
    pub argv: Vec<CString>,
    /// Environment, `KEY=value`.
    pub env: Vec<CString>,
}

impl Drop for Process {
    /// Overwrites the variables, which include values of secrets, before the memory is freed.
    fn drop(&mut self) {
        for variable in std::mem::take(&mut self.env) {
            variable.into_bytes().zeroize();
        }
    }
}

/// One step of the path to a directory inside the instance.
pub struct PathStep {
    /// The whole path up to here, relative to the root.
    pub path: CString,
    /// Its last component.
    pub name: CString,
}

/// User, groups and privileges.
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

/// Resources that an OCI runtime needs beside the root. The writable layer, and the root in it as
/// `r`, are attached at the stage; beside it are the prepared mounts, as `sys`, `tmp` and `shm`,
/// directories of the host by the names of `bind_names`, and an empty directory `state`.
pub struct OciRuntime {
    /// Content of `config.json` at the stage.
    pub config: Vec<u8>,
    /// Mount point of cgroups on the host; made read-only for the runtime, which must not change
    /// them.
    pub cgroups: CString,
    /// Whether to cover them with an empty directory instead.
    pub covers_cgroups: bool,
    /// Whether to bind the user namespace at the stage, as `user`.
    pub joins_user: bool,
    /// Names at the stage of the directories of the host, as many as there are binds.
    pub bind_names: Vec<CString>,
    /// A program to place at the stage, as `init`.
    pub init: Option<&'static [u8]>,
}
