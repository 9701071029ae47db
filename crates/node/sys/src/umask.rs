//! Creates files with exactly the given modes, independent of the daemon's umask; setting each mode
//! afterwards would take another call per file.

use std::cell::Cell;
use std::io;

thread_local! {
    /// Whether this thread has a umask of its own.
    static HAS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` without a umask. The calling thread has its own umask and working directory from
/// then on; other threads keep theirs.
pub fn without_umask<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if !HAS_OWN.get() {
        // SAFETY: the call takes flags, and gives this thread a copy of what it shared.
        if unsafe { libc::unshare(libc::CLONE_FS) } != 0 {
            return Err(io::Error::last_os_error());
        }
        HAS_OWN.set(true);
    }
    // SAFETY: umask takes a number and cannot fail.
    let _before = Before(unsafe { libc::umask(0) });
    work()
}

/// The previous umask; restored even on a panic.
struct Before(libc::mode_t);

impl Drop for Before {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::umask(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use super::*;

    fn mode_of_new(file: &Path) -> io::Result<u32> {
        let file = std::fs::File::options().create_new(true).write(true).mode(0o666).open(file)?;
        Ok(file.metadata()?.permissions().mode() & 0o777)
    }

    #[test]
    fn a_thread_without_a_umask_leaves_that_of_others_and_has_its_own_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let before = mode_of_new(&folder.path().join("before")).expect("made");
        assert_ne!(before, 0o666, "tests run with a umask");
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let file = folder.path().join("other");
        let other = std::thread::spawn(move || begun.recv().ok().map(|()| mode_of_new(&file)));
        let (inside, meanwhile) = without_umask(|| {
            begin.send(()).expect("it waits");
            let meanwhile = other.join().expect("no panic").expect("begun")?;
            Ok((mode_of_new(&folder.path().join("inside"))?, meanwhile))
        })
        .expect("made");
        assert_eq!((inside, meanwhile), (0o666, before));
        assert_eq!(mode_of_new(&folder.path().join("after")).expect("made"), before);
    }
}
