//! Reads and writes by path, mostly of kernel files.

use std::ffi::CString;
use std::fs;
use std::io::Error;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest content that is returned; some kernel files are endless.
const CONTENT_BYTES_MAX: u64 = 1 << 20;

/// The error number of a failure.
pub fn number(error: &Error) -> i32 {
    error.raw_os_error().unwrap_or(-1)
}

/// A file's content, or `error N`.
pub fn read(path: &str) -> String {
    let content = || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(fs::File::open(path)?, CONTENT_BYTES_MAX), &mut bytes)?;
        Ok::<_, Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    content().unwrap_or_else(|error| format!("error {}", number(&error)))
}

/// Opens a file for writing, and writes nothing.
pub fn open_for_writing(path: &str) -> String {
    match open(Path::new(path)) {
        Ok(()) => "0".to_owned(),
        Err(error) => number(&error).to_string(),
    }
}

/// The names in a directory, one per line.
pub fn list(path: &str) -> String {
    let names = fs::read_dir(path).into_iter().flatten().flatten();
    names.map(|entry| format!("{}\n", entry.file_name().to_string_lossy())).collect()
}

/// Files below a directory that can be opened for writing, one per line, without the process
/// directories of `/proc`.
pub fn writable(path: &str) -> String {
    let mut found = String::new();
    let mut left = vec![PathBuf::from(path)];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let of_process = name.as_bytes().iter().all(u8::is_ascii_digit) || name == "self" || name == "thread-self";
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && !(of_process && dir == Path::new("/proc")) {
                left.push(entry.path());
            } else if kind.is_file() && open(&entry.path()).is_ok() {
                found.push_str(&format!("{}\n", entry.path().display()));
            }
        }
    }
    found
}

fn open(path: &Path) -> Result<(), Error> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is terminated; the descriptor is closed at once.
    unsafe {
        match libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_NONBLOCK | libc::O_CLOEXEC) {
            -1 => Err(Error::last_os_error()),
            file => {
                libc::close(file);
                Ok(())
            }
        }
    }
}
