//! The index of a closed segment: which functions have rows in which blocks and at which times, and
//! each ended invocation with the place of its end row. Queries read of it what their page needs.
//!
//! # On disk
//! ```text
//! <dir>/segments/0000000007.idx    entries   44 bytes for each end row, by group, then by start time
//!                                  by id     the numbers of the entries in the order of their ids, 4 bytes each
//!                                  directory JSON: blocks, functions and their groups, the fan-out of ids
//!                                  footer    bytes of the directory, number of entries, magic
//! ```
//! A group is all ends of one function, version, qualifier and status, so that counting them reads
//! no entry. An index that is missing or damaged is built again from its segment.

mod build;
mod file;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use types::{RequestId, RunStatus, VersionName};

use crate::segments::{Form, Segments};

pub(crate) use file::SegmentIndex;

/// What an index has beside its entries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Directory {
    /// The units in which the segment is read: frames of its compressed form.
    pub(crate) blocks: Vec<Block>,
    pub(crate) functions: Vec<FunctionRows>,
    /// For each first byte of an id, how many entries have a smaller one; one more for the end.
    fanout: Vec<u32>,
}

/// A stretch of whole rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(crate) offset: u64,
    /// Time of its oldest row, Unix milliseconds.
    pub(crate) oldest_ms: i64,
    pub(crate) newest_ms: i64,
}

/// The blocks with rows of one function.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FunctionRows {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Numbers of the blocks that have rows of it, ascending.
    pub(crate) blocks: Vec<u32>,
    pub(crate) groups: Vec<Group>,
}

/// Ends of one function, version, qualifier and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) version: VersionName,
    pub(crate) qualifier: String,
    /// `None`: Sampan stopped while they ran.
    status: Option<u16>,
    /// Its entries.
    pub(crate) first: u32,
    pub(crate) count: u32,
    /// Smallest and largest.
    pub(crate) start_ms: (i64, i64),
    pub(crate) duration_us: (u32, u32),
    pub(crate) memory_kib: (u32, u32),
}

impl Group {
    pub(crate) fn status(&self) -> Option<RunStatus> {
        self.status.and_then(|code| RunStatus::try_from(code).ok())
    }
}

impl Directory {
    /// The functions of a namespace, or one of them.
    pub(crate) fn functions<'a>(
        &'a self,
        namespace: &'a str,
        name: Option<&'a str>,
    ) -> impl Iterator<Item = &'a FunctionRows> {
        self.functions
            .iter()
            .filter(move |rows| rows.namespace == namespace && name.is_none_or(|name| rows.name == name))
    }

    /// The number of the block that holds the row at `offset`.
    pub(crate) fn block_at(&self, offset: u64) -> usize {
        self.blocks.partition_point(|block| block.offset <= offset).saturating_sub(1)
    }
}

/// One ended invocation. Durations and memory are for the order of a page only; its end row has
/// them whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndEntry {
    pub(crate) id: u128,
    pub(crate) start_ms: i64,
    pub(crate) duration_us: u32,
    pub(crate) memory_kib: u32,
    /// The end row, in the segment's text.
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

/// A request id as a number; numbers are in the order of the texts.
pub(crate) fn id_number(id: &RequestId) -> u128 {
    let digits = id.as_str().bytes().filter_map(|byte| char::from(byte).to_digit(16));
    digits.fold(0, |number, digit| number << 4 | u128::from(digit))
}

/// Run time in the unit of an entry.
pub(crate) fn duration_us(duration_us: u64) -> u32 {
    u32::try_from(duration_us).unwrap_or(u32::MAX)
}

/// Memory in the unit of an entry.
pub(crate) fn memory_kib(memory_bytes: u64) -> u32 {
    u32::try_from(memory_bytes >> 10).unwrap_or(u32::MAX)
}

/// Opens the indexes of closed segments, and builds missing ones.
#[derive(Debug)]
pub(crate) struct Indexes {
    segments: Arc<Segments>,
    directories: Directories,
    /// Held while an index is built.
    build: Mutex<()>,
}

impl Indexes {
    /// Keeps directories up to `directories_bytes_max` in memory.
    pub(crate) fn new(segments: Arc<Segments>, directories_bytes_max: usize) -> Self {
        let directories = Directories { held: Mutex::default(), bytes_max: directories_bytes_max };
        Self { segments, directories, build: Mutex::default() }
    }

    /// Opens the index of a closed segment; `None` when it has none (yet).
    pub(crate) fn open_existing(&self, number: u64) -> io::Result<Option<SegmentIndex>> {
        let file = match File::open(self.segments.path(number, Form::Index)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let reads = self.segments.reads.clone();
        reads.opened();
        let held = self.directories.get(number);
        let index = SegmentIndex::of_file(file, held.clone(), reads)?;
        if held.is_none() {
            self.directories.insert(number, index.directory_bytes(), index.directory.clone());
        }
        Ok(Some(index))
    }

    /// Opens the index of a closed segment, built first where it is missing; `None` when the
    /// segment is gone.
    pub(crate) fn open(&self, number: u64) -> io::Result<Option<SegmentIndex>> {
        match self.open_existing(number) {
            Ok(Some(index)) => return Ok(Some(index)),
            Ok(None) => {}
            Err(error) => tracing::warn!(segment = number, %error, "a log index is unreadable; building it again"),
        }
        let _one_at_a_time = self.build.lock();
        if let Ok(Some(index)) = self.open_existing(number) {
            return Ok(Some(index));
        }
        let Some(mut rows) = self.segments.read_uncounted(number)? else { return Ok(None) };
        let bytes = build::build(&mut rows)?;
        if let Err(error) = self.store(number, &bytes) {
            tracing::warn!(segment = number, %error, "cannot write a log index; it is built again when it is needed");
        }
        SegmentIndex::of_bytes(bytes, self.segments.reads.clone()).map(Some)
    }

    /// Builds the index of every closed segment that has none, the newest first; false when some
    /// are left.
    pub(crate) fn build_missing(&self, active: u64) -> bool {
        let mut all = true;
        for (number, segment) in self.segments.all().into_iter().rev() {
            if number >= active || segment.index_bytes > 0 || segment.plain_bytes == 0 {
                continue;
            }
            if self.segments.is_stopping() {
                return false;
            }
            if let Err(error) = self.open(number) {
                tracing::error!(segment = number, %error, "cannot index a log segment");
            }
            all &= self.segments.get(number).is_none_or(|segment| segment.index_bytes > 0);
        }
        all
    }

    fn store(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.segments.path(number, Form::UnfinishedIndex);
        let mut file = File::create(&unfinished)?;
        let done = file.write_all(bytes).and_then(|()| file.sync_all());
        match done.and_then(|()| fs::rename(&unfinished, self.segments.path(number, Form::Index))) {
            Ok(()) => {
                self.segments.set_index_bytes(number, bytes.len() as u64);
                Ok(())
            }
            Err(error) => {
                // If this fails too, the next start removes it.
                let _ = fs::remove_file(&unfinished);
                Err(error)
            }
        }
    }
}

/// Recently read directories, by segment; those of the oldest segments are dropped first.
#[derive(Debug)]
struct Directories {
    held: Mutex<Held>,
    bytes_max: usize,
}

/// Directories in memory with their lengths, by segment.
#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    by_segment: BTreeMap<u64, (usize, Arc<Directory>)>,
}

impl Directories {
    fn get(&self, number: u64) -> Option<Arc<Directory>> {
        self.held.lock().by_segment.get(&number).map(|(_, directory)| directory.clone())
    }

    fn insert(&self, number: u64, bytes: usize, directory: Arc<Directory>) {
        let mut held = self.held.lock();
        if let Some((before, _)) = held.by_segment.insert(number, (bytes, directory)) {
            held.bytes -= before;
        }
        held.bytes += bytes;
        while held.bytes > self.bytes_max
            && let Some((_, (bytes, _))) = held.by_segment.pop_first()
        {
            held.bytes -= bytes;
        }
    }
}
