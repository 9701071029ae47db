//! The root of an instance, built by its init in a mount namespace of its own: the overlay over the
//! image's layers, the prepared mounts, the masked paths of the kernel.

use std::ffi::CStr;
use std::os::fd::RawFd;

use super::child_state::Child;
use super::etc_files::{lay_files, put_dir, put_files};
use super::spec::{Placement, Tmp};
use super::step::Step;
use crate::calls::{
    Done, check, clone_tree, close, cover, make_dir, mount, mount_new, mount_point, move_mount, move_mount_at, open,
};
use crate::instance_mounts::stage::{EMPTY, LOWERS, ROOT};
use crate::instance_mounts::{mask_sys, seal_empty};
use crate::mount_attributes::{DATA_ONLY, READ_ONLY};

/// Builds the root in this process's own mount namespace, without any of the host's mounts left in
/// it.
pub(super) fn build_root(child: &mut Child<'_>) -> Done {
    let spec = child.spec;
    let root = overlay(child)?;
    // Before the kernel's file systems are mounted there, so that no link of the image leads to
    // them.
    put_files(child, root)?;
    child.at(Step::Tmpfs);
    if let Tmp::Mounted(place) = &spec.rootfs.tmp {
        attach(root, spec.rootfs.owner, place, child.fds.tmp)?;
    }
    binds(child, root)?;
    child.at(Step::Proc);
    let proc = mount_new(root, spec.rootfs.owner, c"proc", c"proc", None, DATA_ONLY)?;
    child.at(Step::Dev);
    attach(root, spec.rootfs.owner, c"dev", child.fds.dev)?;
    attach(root, spec.rootfs.owner, c"dev/pts", child.fds.terminals)?;
    attach(root, spec.rootfs.owner, c"dev/shm", child.fds.shared_memory)?;
    child.at(Step::Sys);
    attach(root, spec.rootfs.owner, c"sys", child.fds.sys)?;
    show_cgroups(child)?;
    child.at(Step::Mask);
    mask(proc, child)?;
    child.at(Step::Root);
    cover_root(root, child)
}

/// Mounts the overlay in this process's own mount namespace, which is private: the host does not
/// see it.
pub(super) fn overlay(child: &mut Child<'_>) -> Result<RawFd, i32> {
    let spec = child.spec;
    child.at(Step::Stage);
    stage(child)?;
    child.at(Step::Lower);
    lowers(child)?;
    if spec.files.placement == Placement::WritableLayer {
        child.at(Step::File);
        lay_files(spec)?;
    }
    child.at(Step::Overlay);
    // Programs gain nothing by set-id bits and file capabilities in any case (no_new_privs). But
    // the kernel fails to execute one whose capabilities are outside of the bounding set (EPERM),
    // unless the mount makes it ignore them.
    let flags = libc::MS_NODEV | libc::MS_NOSUID;
    mount(c"overlay", ROOT, Some(c"overlay"), flags, Some(&spec.rootfs.overlay_options))?;
    open(libc::AT_FDCWD, ROOT, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)
}

/// Attaches the stage and changes to it.
fn stage(child: &Child<'_>) -> Done {
    let stage = child.fds.stage;
    let point = open(libc::AT_FDCWD, &child.spec.rootfs.stage, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)?;
    move_mount(stage, point)?;
    close(point);
    // SAFETY: the descriptor is open; this process has a copy of the file system attributes (no
    // CLONE_FS).
    check(unsafe { libc::fchdir(stage) }.into())?;
    if child.spec.rootfs.mounts.left.is_some() {
        seal_empty(stage)?;
    }
    Ok(())
}

fn lowers(child: &Child<'_>) -> Done {
    for (number, (tree, name)) in child.fds.lowers.iter().zip(&child.spec.rootfs.lower_names).enumerate() {
        if number >= LOWERS.len() {
            make_dir(libc::AT_FDCWD, name, child.spec.rootfs.owner)?;
        }
        let target = open(libc::AT_FDCWD, name, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)?;
        move_mount(*tree, target)?;
        close(target);
    }
    Ok(())
}

/// Attaches directories of the host. Their mount points have no links: their path was checked in
/// the image before, or was just created here.
fn binds(child: &mut Child<'_>, root: RawFd) -> Done {
    child.at(Step::Bind);
    for (bind, tree) in child.spec.rootfs.binds.iter().zip(&child.fds.binds) {
        bind.dirs.iter().try_for_each(|dir| put_dir(root, dir))?;
        move_mount_at(*tree, root, &bind.target)?;
    }
    Ok(())
}

/// Attaches a mount inside the root, creating its mount point where the image lacks it.
pub(super) fn attach(root: RawFd, owner: u32, target: &CStr, made: RawFd) -> Done {
    let point = mount_point(root, owner, target)?;
    move_mount(made, point)?;
    close(point);
    Ok(())
}

/// Attaches the instance's view of its cgroups. The kernel provides the mount point in `/sys`, so
/// that the path has no link of the image.
pub(super) fn show_cgroups(child: &mut Child<'_>) -> Done {
    child.at(Step::CgroupView);
    let fds = &child.fds;
    move_mount_at(fds.cgroup_view, fds.sys, c"fs/cgroup")?;
    for (branch, mount) in child.spec.cgroup.view.left.iter().zip(&fds.cgroup_view_left) {
        move_mount_at(*mount, fds.cgroup_view, &branch.name)?;
    }
    Ok(())
}

/// Mounts the root over everything that it was built on, and enters it. Below it are only this
/// instance's own layers and an empty directory; leaving the root leads to the uppermost mount
/// again. `pivot_root` would do the same, but checks every thread of the machine for the old root.
fn cover_root(root: RawFd, child: &Child<'_>) -> Done {
    move_mount(root, child.fds.stage)?;
    // SAFETY: the descriptor is a directory; the strings are constants.
    unsafe {
        check(libc::fchdir(root).into())?;
        check(libc::chroot(c".".as_ptr()).into())
    }
}

/// Covers kernel paths with existing files: file systems of their own would take the start as long
/// as those that it needs. Names below `/proc` are the kernel's, so that the paths have no link of
/// the image.
fn mask(proc: RawFd, child: &Child<'_>) -> Done {
    let (spec, fds) = (child.spec, &child.fds);
    for name in &spec.masks.read_only_proc {
        match clone_tree(proc, name) {
            Err(libc::ENOENT) => {}
            tree => cover(proc, name, tree?, READ_ONLY | DATA_ONLY)?,
        }
    }
    for masked in &spec.masks.proc {
        let over = if masked.is_dir { clone_tree(fds.stage, EMPTY) } else { clone_tree(fds.dev, c"null") };
        match cover(proc, &masked.name, over?, 0) {
            Err(libc::ENOENT) => {}
            other => other?,
        }
    }
    match &spec.rootfs.mounts.left {
        Some(left) => mask_sys(fds.sys, fds.stage, &left.masked_sys),
        None => Ok(()),
    }
}
