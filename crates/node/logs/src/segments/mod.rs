//! The segment files: their list, growth of the active one, compression, reading and removal of
//! closed ones. A row is an opaque line of bytes here.

mod active;
mod file;
mod plan;
mod reads;
mod seekable;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

pub(crate) use active::Active;
pub(crate) use file::SegmentFile;
pub(crate) use reads::ReadCounters;
pub use reads::Reads;

use crate::clock;

/// Facts of a segment that need no access to its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Bytes before compression.
    pub(crate) plain_bytes: u64,
    /// Bytes on disk.
    pub(crate) disk_bytes: u64,
    /// Bytes of its index on disk; 0 when it has none.
    pub(crate) index_bytes: u64,
    /// When its last row was written, Unix milliseconds.
    pub(crate) newest_ms: i64,
    /// Closed and compressed.
    pub(crate) compressed: bool,
}

/// The directory of the segments and the list of them, by number. Numbers only grow.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    list: Mutex<BTreeMap<u64, Segment>>,
    /// Counters of what queries have read.
    pub(crate) reads: Arc<ReadCounters>,
    /// Whether the logs are being shut down: long maintenance is then left to the next start.
    stopping: AtomicBool,
}

impl Segments {
    /// Opens the directory, creates it if needed, and removes leftovers of a crash: half-compressed
    /// files, and plain files whose compressed form is complete.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let (mut list, mut indexes) = (BTreeMap::new(), BTreeMap::new());
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((number, form)) = name.to_str().and_then(parse_name) else { continue };
            match form {
                Form::Unfinished | Form::UnfinishedIndex => {
                    fs::remove_file(entry.path())?;
                    continue;
                }
                Form::Index => {
                    indexes.insert(number, entry.metadata()?.len());
                    continue;
                }
                Form::Plain | Form::Zstd => {}
            }
            let file = fs::File::open(entry.path())?;
            let metadata = file.metadata()?;
            let compressed = form == Form::Zstd;
            let plain_bytes = match form {
                Form::Zstd => match seekable::read_table(&file) {
                    Ok(frames) => frames.iter().map(|f| u64::from(f.plain_len)).sum(),
                    Err(error) => {
                        // One unreadable file must not prevent the start; retention removes it.
                        tracing::error!(path = %entry.path().display(), %error, "a log segment is unreadable and is left out");
                        0
                    }
                },
                _ => metadata.len(),
            };
            let newest_ms = clock::unix_ms(metadata.modified()?);
            let segment = Segment { plain_bytes, disk_bytes: metadata.len(), index_bytes: 0, newest_ms, compressed };
            if list.get(&number).is_none_or(|other: &Segment| !other.compressed) {
                list.insert(number, segment);
            }
        }
        let segments = Self {
            dir: dir.to_owned(),
            list: Mutex::new(list),
            reads: Arc::default(),
            stopping: AtomicBool::new(false),
        };
        for (number, bytes) in indexes {
            // An index without a segment is left over from its removal.
            if !segments.set_index_bytes(number, bytes) {
                remove_if_there(&segments.path(number, Form::Index))?;
            }
        }
        for (number, _) in segments.all().into_iter().filter(|(_, s)| s.compressed) {
            remove_if_there(&segments.path(number, Form::Plain))?;
        }
        Ok(segments)
    }

    pub(crate) fn path(&self, number: u64, form: Form) -> PathBuf {
        self.dir.join(format!("{number:010}.{}", form.suffix()))
    }

    /// All segments, oldest first.
    pub(crate) fn all(&self) -> Vec<(u64, Segment)> {
        self.list.lock().iter().map(|(number, segment)| (*number, *segment)).collect()
    }

    /// Opens a segment to read for a query; `None` when retention has removed it.
    pub(crate) fn read(&self, number: u64) -> io::Result<Option<SegmentFile>> {
        let opened = self.read_uncounted(number)?;
        Ok(opened.map(|file| {
            self.reads.opened();
            file.counted(self.reads.clone())
        }))
    }

    /// The same for maintenance.
    pub(crate) fn read_uncounted(&self, number: u64) -> io::Result<Option<SegmentFile>> {
        // Compression replaces the plain file during queries, so a file that is missing in one form
        // is looked up in the other, and then once more.
        for form in [Form::Plain, Form::Zstd, Form::Plain] {
            match fs::File::open(self.path(number, form)) {
                Ok(file) if form == Form::Zstd => return SegmentFile::compressed(file).map(Some),
                Ok(file) => return Ok(Some(SegmentFile::plain(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// One segment, unless it was removed.
    pub(crate) fn get(&self, number: u64) -> Option<Segment> {
        self.list.lock().get(&number).copied()
    }

    fn set(&self, number: u64, segment: Segment) {
        self.list.lock().insert(number, segment);
    }

    /// Records that a segment has an index; false when there is no such segment.
    pub(crate) fn set_index_bytes(&self, number: u64, bytes: u64) -> bool {
        let mut list = self.list.lock();
        let segment = list.get_mut(&number);
        segment.map(|segment| segment.index_bytes = bytes).is_some()
    }

    /// Skips long maintenance from now on.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the logs are being shut down.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Compresses every closed segment that is still plain.
    pub(crate) fn compress_closed(&self, active: u64) -> io::Result<()> {
        for (number, segment) in self.all() {
            if number < active && !segment.compressed {
                self.compress(number, segment)?;
            }
        }
        Ok(())
    }

    fn compress(&self, number: u64, segment: Segment) -> io::Result<()> {
        let (plain, unfinished) = (self.path(number, Form::Plain), self.path(number, Form::Unfinished));
        let source = fs::File::open(&plain)?;
        let target = fs::File::create(&unfinished)?;
        let mut rows = SegmentFile::plain(source.try_clone()?);
        let done = seekable::compress(|offset| rows.rows_at(offset), &target).and_then(|()| {
            // The file's time is the time of its last row; compression must not change it.
            target.set_modified(source.metadata()?.modified()?)?;
            target.sync_all()
        });
        if let Err(error) = done {
            remove_if_there(&unfinished)?;
            return Err(error);
        }
        let disk_bytes = target.metadata()?.len();
        fs::rename(&unfinished, self.path(number, Form::Zstd))?;
        fs::File::open(&self.dir)?.sync_all()?;
        // Its index may have been built meanwhile.
        let index_bytes = self.list.lock().get(&number).map_or(segment.index_bytes, |segment| segment.index_bytes);
        self.set(number, Segment { disk_bytes, index_bytes, compressed: true, ..segment });
        remove_if_there(&plain)
    }

    /// Removes segments over the age or size limit.
    pub(crate) fn apply_retention(&self, limits: plan::Retention, active: u64, now_ms: i64) -> io::Result<()> {
        for number in plan::to_remove(&self.all(), limits, active, now_ms) {
            remove_if_there(&self.path(number, Form::Zstd))?;
            remove_if_there(&self.path(number, Form::Plain))?;
            remove_if_there(&self.path(number, Form::Index))?;
            self.list.lock().remove(&number);
        }
        Ok(())
    }
}

pub(crate) use plan::Retention;

/// Form of a segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Zstd,
    Unfinished,
    /// Its index, beside it.
    Index,
    UnfinishedIndex,
}

impl Form {
    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "jsonl",
            Self::Zstd => "jsonl.zst",
            Self::Unfinished => "tmp",
            Self::Index => "idx",
            Self::UnfinishedIndex => "idx.tmp",
        }
    }
}

/// Number and form from a file name; `None` for other files.
fn parse_name(name: &str) -> Option<(u64, Form)> {
    let (number, suffix) = name.split_once('.')?;
    let forms = [Form::Plain, Form::Zstd, Form::Unfinished, Form::Index, Form::UnfinishedIndex];
    let form = forms.into_iter().find(|form| form.suffix() == suffix)?;
    (number.len() == 10).then(|| number.parse().ok())?.map(|number| (number, form))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_ours_are_left_alone() {
        assert_eq!(parse_name("0000000012.jsonl"), Some((12, Form::Plain)));
        assert_eq!(parse_name("0000000012.jsonl.zst"), Some((12, Form::Zstd)));
        assert_eq!(parse_name("0000000012.idx.tmp"), Some((12, Form::UnfinishedIndex)));
        for other in ["12.jsonl", "0000000012.json", "notes.jsonl", "000000001x.tmp", ""] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_crash_between_compression_and_removal_leaves_one_form() {
        let dir = tempfile::tempdir().unwrap();
        let segments = Segments::open(dir.path()).unwrap();
        fs::write(segments.path(1, Form::Plain), "{}\n{}\n").unwrap();
        let segments = Segments::open(dir.path()).unwrap();
        segments.compress_closed(2).unwrap();
        fs::write(segments.path(1, Form::Plain), "{}\n{}\n").unwrap();
        fs::write(segments.path(2, Form::Unfinished), "half").unwrap();
        let segments = Segments::open(dir.path()).unwrap();
        assert_eq!(segments.all().len(), 1);
        assert_eq!(segments.all()[0].1.plain_bytes, 6);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["0000000001.jsonl.zst"]);
    }
}
