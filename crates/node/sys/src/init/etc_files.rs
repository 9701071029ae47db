//! Files and directories that the platform creates in every root, such as `/etc/hosts`, or that the
//! image's config requires.

use std::os::fd::RawFd;

use super::child_state::Child;
use super::spec::{EtcFile, InitSpec, NewDir, Placement, Target, Tmp};
use super::step::Step;
use crate::calls::{Done, check, close, give, open, open_inside};
use crate::instance_mounts::mode;
use crate::instance_mounts::stage::UPPER;

/// Creates the files and directories of the platform and of the image's config.
pub(super) fn put_files(child: &mut Child<'_>, root: RawFd) -> Done {
    let spec = child.spec;
    child.at(Step::File);
    if spec.files.placement == Placement::Root {
        spec.files.etc_dirs.iter().try_for_each(|dir| put_dir(root, dir))?;
        spec.files.etc.iter().try_for_each(|file| put_file(root, spec, file))?;
    }
    spec.files.dirs.iter().try_for_each(|dir| put_dir(root, dir))?;
    spec.files.dirs_in_tmp.iter().try_for_each(|dir| put_dir(child.fds.tmp, dir))?;
    match &spec.rootfs.tmp {
        Tmp::Kept(Some(tmp)) => open_to_all(root, tmp),
        _ => Ok(()),
    }
}

/// Creates the files in the writable layer before the overlay is mounted: there it takes a fraction
/// of the time.
pub(super) fn lay_files(spec: &InitSpec) -> Done {
    let upper = open(libc::AT_FDCWD, UPPER, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)?;
    for dir in &spec.files.etc_dirs {
        // SAFETY: the path is terminated.
        check(unsafe { libc::mkdirat(upper, dir.target.path.as_ptr(), dir.mode) }.into())?;
        give(upper, &dir.target.path, spec.rootfs.owner)?;
    }
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC;
    for file in &spec.files.etc {
        fill(open(upper, &file.target.path, flags, 0o644)?, spec, file)?;
    }
    close(upper);
    Ok(())
}

/// Opens the directory of a target. Links of the image cannot lead out of the root.
fn parent_of(root: RawFd, target: &Target) -> Result<RawFd, i32> {
    open_inside(root, &target.parent, libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC, 0)
}

/// Creates a directory, unless a file exists at its path.
pub(super) fn put_dir(root: RawFd, dir: &NewDir) -> Done {
    let (parent, (user, group)) = (parent_of(root, &dir.target)?, dir.owner);
    // SAFETY: the name is terminated; the descriptor is a directory.
    let made = check(unsafe { libc::mkdirat(parent, dir.target.name.as_ptr(), dir.mode) }.into());
    let done = match made {
        // SAFETY: as above; a link at the name is not followed.
        Ok(()) => check(
            unsafe { libc::fchownat(parent, dir.target.name.as_ptr(), user, group, libc::AT_SYMLINK_NOFOLLOW) }.into(),
        ),
        Err(libc::EEXIST) => Ok(()),
        failed => failed,
    };
    close(parent);
    done
}

/// Replaces the image's file or link at the target. A directory stays.
fn put_file(root: RawFd, spec: &InitSpec, file: &EtcFile) -> Done {
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let parent = parent_of(root, &file.target)?;
    // SAFETY: the name is terminated; the descriptor is a directory.
    let removed = check(unsafe { libc::unlinkat(parent, file.target.name.as_ptr(), 0) }.into());
    let done = match removed {
        Ok(()) | Err(libc::ENOENT) => {
            open(parent, &file.target.name, flags, 0o644).and_then(|target| fill(target, spec, file))
        }
        Err(libc::EISDIR) => Ok(()),
        failed => failed,
    };
    close(parent);
    done
}

/// Sets the mode of the image's `/tmp` that programs expect.
fn open_to_all(root: RawFd, tmp: &Target) -> Done {
    let parent = parent_of(root, tmp)?;
    let done = mode(parent, &tmp.name, 0o1777);
    close(parent);
    done
}

fn fill(target: RawFd, spec: &InitSpec, file: &EtcFile) -> Done {
    // SAFETY: pointer and length are of a slice that outlives the call; the descriptor is open.
    check(unsafe { libc::write(target, file.content.as_ptr().cast(), file.content.len()) } as i64)?;
    // SAFETY: the descriptor is open.
    check(unsafe { libc::fchown(target, spec.rootfs.owner, spec.rootfs.owner) }.into())?;
    close(target);
    Ok(())
}
