//! Runs the operator's command that prints the key: once, bounded in time and size; its process
//! group is killed at the end.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

/// Longest prefix that is kept of standard output and of standard error.
const OUTPUT_BYTES_MAX: u64 = 1024;
/// Interval of polls for the command's end.
const LOOK: Duration = Duration::from_millis(10);
/// Longest wait for the output of an ended command.
const READ_MAX: Duration = Duration::from_secs(1);

/// Returns the command's standard output. Errors quote its standard error, never its output.
pub(super) fn run(command: &str, timeout: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run /bin/sh: {error}"))?;
    let (output, complaint) = (read(child.stdout.take()), read(child.stderr.take()));
    let ended = wait(&mut child, timeout);
    // Processes that the command left may hold the pipes open.
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let Some(status) = ended? else {
        let _ = child.wait();
        return Err(format!("it has not ended within {} s ([secrets] key_command_timeout_s)", timeout.as_secs()));
    };
    let (output, complaint) = (received(&output), received(&complaint));
    if status.success() {
        return Ok(output);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let shown: String = complaint.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Err(format!("{status}: {}", if shown.is_empty() { "nothing on standard error" } else { &shown }))
}

/// Waits for the end; `None` on timeout.
fn wait(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>, String> {
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            None if begun.elapsed() < timeout => thread::sleep(LOOK),
            ended => return Ok(ended),
        }
    }
}

/// Reads on a thread that ends when the pipe closes.
fn read(pipe: Option<impl Read + Send + 'static>) -> Receiver<Zeroizing<Vec<u8>>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut kept = Zeroizing::new(Vec::with_capacity(OUTPUT_BYTES_MAX as usize));
        if let Some(mut pipe) = pipe {
            let _ = (&mut pipe).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept);
            let _ = sender.send(kept);
            // A full pipe would block the command.
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
    });
    receiver
}

fn received(from: &Receiver<Zeroizing<Vec<u8>>>) -> Zeroizing<Vec<u8>> {
    from.recv_timeout(READ_MAX).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("late");
        let command = format!("(sleep 60; touch {0}) & sleep 60; touch {0}", file.display());
        let error = run(&command, Duration::from_millis(50)).expect_err("too late");
        assert!(error.contains("key_command_timeout_s"), "{error}");
        assert!(!file.exists());
    }

    #[test]
    fn much_output_is_cut_and_does_not_block() {
        let printed = run("head -c 1000000 /dev/zero", Duration::from_secs(60)).expect("it ends");
        assert_eq!(printed.len() as u64, OUTPUT_BYTES_MAX);
    }
}
