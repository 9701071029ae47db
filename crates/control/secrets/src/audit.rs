//! The audit log: who set or deleted which secret, and which function read which version, when;
//! never a value. One thread appends entries from a bounded queue.
//!
//! On disk, below the data directory, each line an [`AuditEntry`] in JSON:
//! ```text
//! secrets-audit.jsonl      0600  the newest lines
//! secrets-audit.1.jsonl    0600  the previous file, renamed at half of `audit_bytes_max`
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use types::admin::secrets::{AuditAction, AuditEntry};

use crate::Error;

const NEWEST: &str = "secrets-audit.jsonl";
const BEFORE: &str = "secrets-audit.1.jsonl";
/// Longest line that is read; names are bounded, so entries are shorter.
const LINE_BYTES_MAX: usize = 4096;

/// Sender of entries; clones share the queue.
#[derive(Clone)]
pub(crate) struct Audit {
    queue: SyncSender<Line>,
    /// Number of entries since the last line that were dropped because the queue was full.
    lost: Arc<AtomicU64>,
    dir: PathBuf,
}

/// An entry to write, if any, and a sender that is notified once all entries so far are on disk.
struct Line(Option<AuditEntry>, Option<SyncSender<()>>);

impl Audit {
    /// Opens the log in `dir`.
    pub fn open(dir: &Path, bytes_max: u64, waiting_max: usize) -> Result<Self, Error> {
        let log = Log::open(dir.to_owned(), bytes_max / 2)?;
        let (queue, lines) = sync_channel(waiting_max.max(1));
        let lost = Arc::<AtomicU64>::default();
        let audit = Self { queue, lost: lost.clone(), dir: dir.to_owned() };
        let spawned = thread::Builder::new().name("secrets-audit".to_owned()).spawn(move || write(log, &lines, &lost));
        spawned.map_err(|source| Error::Audit { operation: "start the thread of", path: dir.join(NEWEST), source })?;
        Ok(audit)
    }

    /// Queues a read without blocking; counts it if the queue is full.
    pub fn note(&self, entry: AuditEntry) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(Line(Some(entry), None))
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes a change; on disk when this returns. Blocks.
    pub fn note_durably(&self, entry: AuditEntry) {
        self.settle(Some(entry));
    }

    /// Writes all queued entries. Blocks.
    pub fn flush(&self) {
        self.settle(None);
    }

    fn settle(&self, entry: Option<AuditEntry>) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Line(entry, Some(done))).is_ok() {
            let _ = wait.recv();
        }
    }

    /// The newest `limit` lines for which `wanted` is true, the oldest first. Blocks.
    pub fn newest(&self, limit: usize, wanted: impl Fn(&AuditEntry) -> bool) -> Result<Vec<AuditEntry>, Error> {
        self.flush();
        let mut found = std::collections::VecDeque::new();
        for name in [BEFORE, NEWEST] {
            let path = self.dir.join(name);
            let failed = |source| Error::Audit { operation: "read", path: path.clone(), source };
            let file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(failed)?,
            };
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(failed)?;
                // A crash may have truncated a line.
                let entry = (line.len() <= LINE_BYTES_MAX).then(|| serde_json::from_slice::<AuditEntry>(&line).ok());
                if let Some(entry) = entry.flatten().filter(|entry| wanted(entry)) {
                    found.push_back(entry);
                    if found.len() > limit {
                        found.pop_front();
                    }
                }
            }
        }
        Ok(found.into())
    }
}

/// Writes entries until all senders are dropped.
fn write(mut log: Log, lines: &Receiver<Line>, lost: &AtomicU64) {
    while let Ok(Line(entry, done)) = lines.recv() {
        let missed = lost.swap(0, Ordering::Relaxed);
        let lost_entry = (missed > 0).then(|| AuditEntry { count: Some(missed), ..AuditEntry::new(AuditAction::Lost) });
        let written = lost_entry.iter().chain(&entry).try_for_each(|entry| log.append(entry));
        let written = written.and_then(|()| if done.is_some() { log.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            lost.fetch_add(missed + u64::from(entry.is_some()), Ordering::Relaxed);
            tracing::error!(error = &error as &dyn std::error::Error, "cannot write the audit log of secrets");
        }
        if let Some(done) = done {
            let _ = done.send(());
        }
    }
}

struct Log {
    dir: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Log {
    fn open(dir: PathBuf, bytes_max: u64) -> Result<Self, Error> {
        let failed = |source| Error::Audit { operation: "open", path: dir.join(NEWEST), source };
        let mut file = append_to(&dir.join(NEWEST)).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes > 0 {
            // A crash may have truncated the last line.
            file.write_all(b"\n").map_err(failed)?;
        }
        Ok(Self { dir, file, bytes: bytes + 1, bytes_max })
    }

    fn append(&mut self, entry: &AuditEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        if self.bytes + line.len() as u64 > self.bytes_max && self.bytes > 1 {
            self.file.sync_data()?;
            fs::rename(self.dir.join(NEWEST), self.dir.join(BEFORE))?;
            self.file = append_to(&self.dir.join(NEWEST))?;
            self.bytes = 0;
        }
        self.bytes += line.len() as u64;
        self.file.write_all(&line)
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32) -> AuditEntry {
        AuditEntry { version: Some(number), ..AuditEntry::new(AuditAction::Read) }
    }

    fn numbers(audit: &Audit, limit: usize) -> Vec<u32> {
        audit.newest(limit, |_| true).unwrap().iter().filter_map(|entry| entry.version).collect()
    }

    #[test]
    fn lines_last_and_a_cut_one_harms_none() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path(), 1 << 20, 10).unwrap();
        audit.note(entry(1));
        audit.note_durably(entry(2));
        assert_eq!((numbers(&audit, 10), numbers(&audit, 1)), (vec![1, 2], vec![2]));
        drop(audit);
        let path = dir.path().join(NEWEST);
        let mut file = append_to(&path).unwrap();
        file.write_all(b"{\"time_ms\": 1, \"act").unwrap();
        let audit = Audit::open(dir.path(), 1 << 20, 10).unwrap();
        audit.note_durably(entry(3));
        assert_eq!(numbers(&audit, 10), [1, 2, 3]);
    }

    #[test]
    fn the_log_is_bounded_and_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path(), 2_000, 10).unwrap();
        for number in 0..200 {
            audit.note_durably(entry(number));
        }
        let size = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
        assert!(size(NEWEST) <= 1_000 && size(BEFORE) <= 1_000);
        let kept = numbers(&audit, 1_000);
        assert!(kept.len() > 5 && kept.last() == Some(&199) && kept.is_sorted(), "{kept:?}");
    }

    #[test]
    fn reads_without_room_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path(), 1 << 20, 10).unwrap();
        audit.lost.store(7, Ordering::Relaxed);
        audit.note_durably(entry(1));
        let lost = audit.newest(10, |entry| entry.action == AuditAction::Lost).unwrap();
        assert_eq!(lost.iter().map(|entry| entry.count).collect::<Vec<_>>(), [Some(7)]);
    }
}
