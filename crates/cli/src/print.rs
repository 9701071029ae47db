//! Standard output and standard error of all commands. `println!` and `eprintln!` of this crate
//! shadow those of std, which panic when the reader of a pipe has closed it (`sampan list | head`).
//! Lines go through [`terminal::escaped`], because any may quote a function, an image or a
//! registry; [`bytes()`] do not.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::args::Output;
use crate::failure::{Exit, Failure};
use crate::terminal;

/// Exit code that shells use for a program killed by SIGPIPE (128 + 13). The signal itself stays
/// ignored: a connection closed by a server would raise it as well.
const READER_GONE: i32 = 141;

static OUTLIVES_READER: AtomicBool = AtomicBool::new(false);

/// Prints a line, as [`line!`] does.
#[macro_export]
macro_rules! println {
    ($($arg:tt)+) => { $crate::print::line(format_args!($($arg)+)) };
}

/// Prints a line to standard error, as [`error_line`] does.
#[macro_export]
macro_rules! eprintln {
    ($($arg:tt)+) => { $crate::print::error_line(format_args!($($arg)+)) };
}

/// Keeps the process running after its output was closed. By default it exits at the next line, as
/// most programs do.
pub fn outlive_reader() {
    OUTLIVES_READER.store(true, Ordering::Relaxed);
}

/// Writes a line to standard output.
pub fn line(text: Arguments<'_>) {
    let text = text.to_string();
    let mut stdout = io::stdout().lock();
    settle(stdout.write_all(terminal::escaped(&text).as_bytes()).and_then(|()| stdout.write_all(b"\n")));
}

/// Writes bytes to standard output and flushes.
pub fn bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    settle(stdout.write_all(bytes).and_then(|()| stdout.flush()));
}

/// Writes a line to standard error; errors are ignored.
pub fn error_line(text: Arguments<'_>) {
    let text = text.to_string();
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(terminal::escaped(&text).as_bytes()).and_then(|()| stderr.write_all(b"\n"));
}

fn settle(written: io::Result<()>) {
    let Err(error) = written else { return };
    if OUTLIVES_READER.load(Ordering::Relaxed) {
        return;
    }
    if error.kind() == ErrorKind::BrokenPipe {
        process::exit(READER_GONE);
    }
    let message = format!("cannot write to standard output: {error}");
    Failure::new(Exit::Failed, message, "").report(Output::Text);
    process::exit(Exit::Failed as i32);
}
