//! Standard output and standard error of all commands: `println!` and `eprintln!` of this crate, which shadow the
//! library's. Those panic when the reader of a pipe has gone (`sampan config | head -1`). All lines go through
//! [`terminal::escaped`], because any may repeat what a function, an image or a registry said; [`bytes`] do not.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::args::Output;
use crate::failure::{Exit, Failure};
use crate::terminal;

/// How a shell shows a program that SIGPIPE ended (128 + 13). The signal itself stays ignored: a connection that a server
/// closes would end the command by it as well.
const READER_GONE: i32 = 141;

static OUTLIVES_READER: AtomicBool = AtomicBool::new(false);

/// Prints a line, as [`line`] does.
#[macro_export]
macro_rules! println {
    ($($arg:tt)+) => { $crate::print::line(format_args!($($arg)+)) };
}

/// Prints a line to standard error, as [`error_line`] does.
#[macro_export]
macro_rules! eprintln {
    ($($arg:tt)+) => { $crate::print::error_line(format_args!($($arg)+)) };
}

/// Has the command go on when nothing reads its output any more. Without this it ends at the next line, as most programs
/// do.
pub fn outlive_reader() {
    OUTLIVES_READER.store(true, Ordering::Relaxed);
}

/// Writes a line to standard output.
pub fn line(text: Arguments<'_>) {
    let text = text.to_string();
    let mut stdout = io::stdout().lock();
    settle(stdout.write_all(terminal::escaped(&text).as_bytes()).and_then(|()| stdout.write_all(b"\n")));
}

/// Writes bytes to standard output at once.
pub fn bytes(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    settle(stdout.write_all(bytes).and_then(|()| stdout.flush()));
}

/// Writes a line to standard error; there is no other place to say that it cannot be written.
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
