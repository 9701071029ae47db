//! The files of `/etc` that the platform puts into an instance, and whether the image lets them lie in the writable layer
//! from the start. Must not know how they are put there.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, flistxattr, openat, statat};
use rustix::io::Errno;
use sys::spawn::{Injected, InjectedDir, InjectedFile};

/// Where they are.
const DIR: &str = "etc";
/// Mode of the directory where the image has none.
const DIR_MODE: u32 = 0o755;

/// What is put into an instance.
pub struct Injection {
    /// The directory.
    pub dirs: Vec<InjectedDir>,
    /// The files.
    pub files: Vec<InjectedFile>,
    /// Where.
    pub injected: Injected,
}

/// Files that tell an instance its names, and whom to ask for others.
pub fn injection(lower_dirs: &[PathBuf], hostname: &str, resolv_conf: String) -> Injection {
    let hosts = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let files = [("hosts", hosts), ("hostname", format!("{hostname}\n")), ("resolv.conf", resolv_conf)];
    // What several layers have in one place is the overlay's to say.
    let ahead = match lower_dirs {
        [one] => ahead(one, &files.each_ref().map(|(name, _)| *name)),
        _ => None,
    };
    let path = |text: String| CString::new(text).expect("constants without NUL");
    let files = files
        .into_iter()
        .map(|(name, content)| InjectedFile { path: path(format!("{DIR}/{name}")), content: content.into_bytes() });
    Injection {
        dirs: vec![InjectedDir { path: path(DIR.to_owned()), mode: ahead.unwrap_or(DIR_MODE) }],
        files: files.collect(),
        injected: if ahead.is_some() { Injected::Ahead } else { Injected::Carefully },
    }
}

/// The mode of the directory, if a new one may hide the image's with nobody seeing a difference: one of root's, without
/// extended attributes, where the image has nothing or plain files in the places of these.
fn ahead(root: &Path, names: &[&str]) -> Option<u32> {
    let root = File::open(root).ok()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = match openat(&root, DIR, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Some(DIR_MODE),
        Err(_) => return None,
    };
    let found = statat(&dir, "", AtFlags::EMPTY_PATH).ok()?;
    let no_attributes = flistxattr(&dir, &mut [0_u8; 0]).is_ok_and(|bytes| bytes == 0);
    let plain = |name: &&str| match statat(&dir, OsStr::new(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => FileType::from_raw_mode(found.st_mode) == FileType::RegularFile,
        Err(error) => error == Errno::NOENT,
    };
    (roots(&found) && no_attributes && names.iter().all(plain)).then_some(found.st_mode & 0o7777)
}

fn roots(found: &Stat) -> bool {
    found.st_uid == 0 && found.st_gid == 0
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn of(roots: &[&Path]) -> (Injected, u32) {
        let roots: Vec<_> = roots.iter().map(|root| root.to_path_buf()).collect();
        let made = injection(&roots, "name", String::new());
        assert_eq!(made.files.len(), 3);
        (made.injected, made.dirs[0].mode)
    }

    #[test]
    fn only_where_nobody_sees_a_difference_files_are_put_ahead() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        assert_eq!(of(&[root]), (Injected::Ahead, 0o755), "an image without the directory");
        assert_eq!(of(&[root, root]).0, Injected::Carefully, "several layers");
        let etc = root.join("etc");
        fs::create_dir(&etc).expect("a directory");
        fs::set_permissions(&etc, fs::Permissions::from_mode(0o750)).expect("a mode");
        fs::write(etc.join("hosts"), "::1 me\n").expect("a file");
        // Only root's directories can be told from root's: the tests may run as anybody.
        if rustix::process::geteuid().is_root() {
            assert_eq!(of(&[root]), (Injected::Ahead, 0o750));
        }
        symlink("/elsewhere", etc.join("resolv.conf")).expect("a link");
        assert_eq!(of(&[root]).0, Injected::Carefully, "a link in a file's place");
        fs::remove_dir_all(&etc).expect("removed");
        symlink("elsewhere", &etc).expect("a link");
        assert_eq!(of(&[root]).0, Injected::Carefully, "a link in the directory's place");
    }
}
