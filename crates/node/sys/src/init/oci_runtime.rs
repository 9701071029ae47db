//! The init that becomes an OCI runtime: it is in the instance's cgroup and network, and in pid and
//! mount namespaces that end with it; the root is mounted, and the runtime isolates the program in
//! it.
//!
//! It is pid 1 of its namespace, so that everything it started ends with it.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, RawFd};

use super::child_state::Child;
use super::credentials::{close_all, limit};
use super::etc_files::{put_dir, put_files};
use super::join::{join_cgroups, join_network, raise_oom_score};
use super::process::stdio;
use super::root::{attach, overlay, show_cgroups};
use super::spec::OciRuntime;
use super::step::Step;
use crate::calls::{Done, check, clone_itself, close, give, mount, mount_point, move_mount_at, open};
use crate::instance_mounts::stage::UPPER;
use crate::mount_attributes::{Attributes, READ_ONLY};

/// The runtime's configuration.
const CONFIG: &CStr = c"config.json";
/// The init program, if the instance has one.
const INIT: &CStr = c"init";
/// The instance's user namespace, if the runtime joins it.
const USER: &CStr = c"user";
/// The runtime's state directory.
const STATE: &CStr = c"state";

pub(super) fn prepare(child: &mut Child<'_>) -> Done {
    let spec = child.spec;
    let Some(runtime) = &spec.oci_runtime else { return Err(libc::EINVAL) };
    // SAFETY: umask takes a number; this process has a copy of the file system attributes (no
    // CLONE_FS).
    unsafe { libc::umask(0o022) };
    raise_oom_score(spec);
    join_cgroups(child)?;
    join_network(child)?;
    child.at(Step::Mounts);
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)?;
    let root = overlay(child)?;
    // The owner of the root directory in the overlay.
    give(libc::AT_FDCWD, UPPER, spec.rootfs.owner)?;
    put_files(child, root)?;
    show_binds(child, runtime, root)?;
    close(root);
    child.at(Step::Sys);
    attach(libc::AT_FDCWD, 0, c"sys", child.fds.sys)?;
    show_cgroups(child)?;
    child.at(Step::Tmpfs);
    attach(libc::AT_FDCWD, 0, c"tmp", child.fds.tmp)?;
    attach(libc::AT_FDCWD, 0, c"shm", child.fds.shared_memory)?;
    child.at(Step::Proc);
    // The `/proc` of its own pid namespace: the runtime looks its processes up there.
    mount(c"proc", c"/proc", Some(c"proc"), libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC, None)?;
    child.at(Step::HideCgroups);
    hide_cgroups(runtime)?;
    child.at(Step::Bundle);
    close(mount_point(libc::AT_FDCWD, 0, STATE)?);
    if runtime.joins_user {
        show_user(child.fds.user)?;
    }
    write_file(CONFIG, 0o644, &runtime.config)?;
    if let Some(init) = runtime.init {
        write_file(INIT, 0o555, init)?;
    }
    child.at(Step::Stdio);
    stdio(&child.fds)?;
    close_all(None)?;
    limit(child)
}

/// Attaches directories of the host beside the root, for the runtime to mount, and creates their
/// mount points.
fn show_binds(child: &mut Child<'_>, runtime: &OciRuntime, root: RawFd) -> Done {
    child.at(Step::Bind);
    for ((bind, tree), name) in child.spec.rootfs.binds.iter().zip(&child.fds.binds).zip(&runtime.bind_names) {
        bind.dirs.iter().try_for_each(|dir| put_dir(root, dir))?;
        attach(libc::AT_FDCWD, 0, name, *tree)?;
    }
    Ok(())
}

/// Hides cgroups from the runtime: groups that it created would stay when the platform is killed;
/// the limits are set already.
fn hide_cgroups(runtime: &OciRuntime) -> Done {
    if runtime.covers_cgroups {
        return mount(c"none", &runtime.cgroups, Some(c"tmpfs"), libc::MS_RDONLY, None);
    }
    let tree = open(libc::AT_FDCWD, &runtime.cgroups, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)?;
    let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
    let (empty, size) = (c"".as_ptr(), size_of::<Attributes>());
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the structure is of the size given; the empty path names the descriptor.
    check(unsafe {
        libc::syscall(libc::SYS_mount_setattr, tree, empty, flags, std::ptr::from_ref(&attributes), size)
    })?;
    close(tree);
    Ok(())
}

/// Binds a namespace to a path: a runtime takes no descriptors.
fn show_user(user: RawFd) -> Done {
    write_file(USER, 0o444, b"")?;
    let tree = clone_itself(user)?;
    move_mount_at(tree, libc::AT_FDCWD, USER)?;
    close(tree);
    Ok(())
}

fn write_file(name: &CStr, mode: u32, content: &[u8]) -> Done {
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC | libc::O_CLOEXEC;
    let file = open(libc::AT_FDCWD, name, flags, mode)?;
    let mut rest = content;
    while !rest.is_empty() {
        let written = write(file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    close(file);
    Ok(())
}

fn write(file: RawFd, bytes: &[u8]) -> Result<usize, i32> {
    // SAFETY: pointer and length are of a slice that outlives the call; the descriptor is open.
    let written = unsafe { libc::write(file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    check(written as i64)?;
    usize::try_from(written).map_err(|_| libc::EIO)
}
