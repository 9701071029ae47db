//! System calls for the child: raw, without allocation, errors as numbers.

use std::ffi::{CStr, c_char};
use std::os::fd::RawFd;

use crate::mount_attributes::Attributes;

/// `RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS` (linux/openat2.h).
const RESOLVE_INSIDE: u64 = 0x10 | 0x02;
/// `MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH` (linux/mount.h).
const MOVE_FD_TO_FD: u32 = 0x04 | 0x40;
/// `OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC` (linux/mount.h).
const CLONE_TREE: u32 = 1 | libc::O_CLOEXEC as u32;

/// The error is an errno value.
pub(crate) type Done = Result<(), i32>;

pub(crate) fn errno() -> i32 {
    // SAFETY: errno's address is valid for the calling thread.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn check(result: i64) -> Done {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

pub(crate) fn check_fd(result: i64) -> Result<RawFd, i32> {
    if result < 0 { Err(errno()) } else { RawFd::try_from(result).map_err(|_| libc::EBADF) }
}

pub(crate) fn close(fd: RawFd) {
    // SAFETY: the descriptor is in this process's own table and not used afterwards.
    unsafe { libc::close(fd) };
}

pub(crate) fn mount(
    source: &CStr,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    options: Option<&CStr>,
) -> Done {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: every pointer is null or a terminated string.
    check(
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), pointer(kind), flags, pointer(options).cast()) }.into(),
    )
}

pub(crate) fn open(at: RawFd, path: &CStr, flags: i32, mode: u32) -> Result<RawFd, i32> {
    // SAFETY: the path is a terminated string.
    check_fd(unsafe { libc::syscall(libc::SYS_openat, at, path.as_ptr(), flags, mode) })
}

/// Opens a path as a process rooted at `root` would: links of the image cannot lead outside.
pub(crate) fn open_inside(root: RawFd, path: &CStr, flags: i32, mode: u64) -> Result<RawFd, i32> {
    let how: [u64; 3] = [u64::try_from(flags).unwrap_or_default(), mode, RESOLVE_INSIDE];
    // SAFETY: `open_how` is three 64-bit words, of the size given; the path is terminated.
    check_fd(unsafe { libc::syscall(libc::SYS_openat2, root, path.as_ptr(), how.as_ptr(), size_of_val(&how)) })
}

/// Creates a directory owned by the instance's root.
pub(crate) fn make_dir(at: RawFd, path: &CStr, owner: u32) -> Done {
    // SAFETY: the path is terminated.
    check(unsafe { libc::mkdirat(at, path.as_ptr(), 0o755) }.into())?;
    give(at, path, owner)
}

/// Changes the owner to the instance's root.
pub(crate) fn give(at: RawFd, path: &CStr, owner: u32) -> Done {
    // SAFETY: the path is terminated.
    check(unsafe { libc::fchownat(at, path.as_ptr(), owner, owner, libc::AT_SYMLINK_NOFOLLOW) }.into())
}

/// Opens a mount point inside the root, creating the directory where the image lacks it.
pub(crate) fn mount_point(root: RawFd, owner: u32, target: &CStr) -> Result<RawFd, i32> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    match open_inside(root, target, flags, 0) {
        Err(libc::ENOENT) => {
            make_dir(root, target, owner)?;
            open_inside(root, target, flags, 0)
        }
        other => other,
    }
}

/// Mounts a new file system inside the root.
pub(crate) fn mount_new(
    root: RawFd,
    owner: u32,
    target: &CStr,
    kind: &CStr,
    options: Option<&CStr>,
    attributes: u64,
) -> Result<RawFd, i32> {
    let point = mount_point(root, owner, target)?;
    let made = new_mount(kind, options, attributes)?;
    move_mount(made, point)?;
    close(point);
    Ok(made)
}

/// Changes an option of the file system of a mount (fspick(2), fsconfig(2)).
pub(crate) fn reconfigure(mount: RawFd, key: &CStr, value: &CStr) -> Done {
    const FSPICK_CLOEXEC: u32 = 1;
    const FSPICK_EMPTY_PATH: u32 = 8;
    const FSCONFIG_SET_STRING: u32 = 1;
    const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
    let flags = FSPICK_CLOEXEC | FSPICK_EMPTY_PATH;
    // SAFETY: the path is a constant.
    let context = check_fd(unsafe { libc::syscall(libc::SYS_fspick, mount, c"".as_ptr(), flags) })?;
    let set = |key: *const c_char, value: *const c_char, command: u32| {
        // SAFETY: key and value are null or terminated strings that outlive the call.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, context, command, key, value, 0) })
    };
    let done = set(key.as_ptr(), value.as_ptr(), FSCONFIG_SET_STRING)
        .and_then(|()| set(std::ptr::null(), std::ptr::null(), FSCONFIG_CMD_RECONFIGURE));
    close(context);
    done
}

/// A detached mount of a new file system. Options are split at commas in place, on the stack.
pub(crate) fn new_mount(kind: &CStr, options: Option<&CStr>, attributes: u64) -> Result<RawFd, i32> {
    const CLOEXEC: u32 = 1;
    // SAFETY: the kind is terminated.
    let context = check_fd(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOEXEC) })?;
    let made = configured_mount(context, options, attributes);
    close(context);
    made
}

fn configured_mount(context: RawFd, options: Option<&CStr>, attributes: u64) -> Result<RawFd, i32> {
    const FSCONFIG_SET_FLAG: u32 = 0;
    const FSCONFIG_SET_STRING: u32 = 1;
    const FSCONFIG_CMD_CREATE: u32 = 6;
    const CLOEXEC: u32 = 1;
    let set = |key: *const c_char, value: *const c_char, command: u32| {
        // SAFETY: key and value are null or terminated strings that outlive the call.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, context, command, key, value, 0) })
    };
    for option in options.map_or(&[][..], CStr::to_bytes).split(|b| *b == b',').filter(|o| !o.is_empty()) {
        let mut text = [0_u8; 128];
        if option.len() >= text.len() {
            return Err(libc::E2BIG);
        }
        text[..option.len()].copy_from_slice(option);
        match text.iter().position(|b| *b == b'=') {
            None => set(text.as_ptr().cast(), std::ptr::null(), FSCONFIG_SET_FLAG)?,
            Some(equals) => {
                text[equals] = 0;
                set(text.as_ptr().cast(), text[equals + 1..].as_ptr().cast(), FSCONFIG_SET_STRING)?;
            }
        }
    }
    set(std::ptr::null(), std::ptr::null(), FSCONFIG_CMD_CREATE)?;
    // SAFETY: the call takes descriptors and numbers.
    check_fd(unsafe { libc::syscall(libc::SYS_fsmount, context, CLOEXEC, attributes) })
}

pub(crate) fn move_mount(from: RawFd, to: RawFd) -> Done {
    let empty = c"".as_ptr();
    // SAFETY: both paths are empty, so both descriptors name themselves.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from, empty, to, empty, MOVE_FD_TO_FD) })
}

/// Attaches a detached mount at a name below a directory, without following a link there.
pub(crate) fn move_mount_at(from: RawFd, to: RawFd, name: &CStr) -> Done {
    const FROM_EMPTY_PATH: u32 = 0x4;
    // SAFETY: the first path is empty, so its descriptor names itself; the second is terminated.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, name.as_ptr(), FROM_EMPTY_PATH) })
}

/// A detached copy of the mount that contains a name below a directory, from that name on, without
/// following a link there.
pub(crate) fn clone_tree(at: RawFd, name: &CStr) -> Result<RawFd, i32> {
    const FLAGS: u32 = CLONE_TREE | libc::AT_SYMLINK_NOFOLLOW as u32;
    // SAFETY: the name is terminated.
    check_fd(unsafe { libc::syscall(libc::SYS_open_tree, at, name.as_ptr(), FLAGS) })
}

/// A detached mount of the file or directory of a descriptor.
pub(crate) fn clone_itself(fd: RawFd) -> Result<RawFd, i32> {
    const FLAGS: u32 = CLONE_TREE | libc::AT_EMPTY_PATH as u32;
    // SAFETY: the empty path names the descriptor.
    check_fd(unsafe { libc::syscall(libc::SYS_open_tree, fd, c"".as_ptr(), FLAGS) })
}

/// Changes the attributes of a mount.
pub(crate) fn set_attributes(tree: RawFd, attributes: &Attributes) -> Done {
    set_attributes_with(tree, attributes, 0)
}

/// Changes the attributes of a mount and of those below it.
pub(crate) fn set_attributes_below(tree: RawFd, attributes: &Attributes) -> Done {
    set_attributes_with(tree, attributes, libc::AT_RECURSIVE)
}

fn set_attributes_with(tree: RawFd, attributes: &Attributes, flags: i32) -> Done {
    let (empty, size, flags) = (c"".as_ptr(), size_of::<Attributes>(), flags | libc::AT_EMPTY_PATH);
    // SAFETY: the structure is of the size given; the empty path names the descriptor.
    check(unsafe { libc::syscall(libc::SYS_mount_setattr, tree, empty, flags, std::ptr::from_ref(attributes), size) })
}

/// Attaches a detached mount over a path, with these attributes if there are any, and closes its
/// descriptor.
pub(crate) fn cover(at: RawFd, name: &CStr, tree: RawFd, attributes: u64) -> Done {
    if attributes != 0 {
        set_attributes(tree, &Attributes { set: attributes, ..Attributes::default() })?;
    }
    let covered = move_mount_at(tree, at, name);
    close(tree);
    covered
}
