//! The active segment: appends rows as bytes and counts them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;

use super::plan::{Rotation, must_rotate};
use super::{Form, Segment, SegmentFile, Segments};
use crate::extents::Position;

/// The active segment; one owner.
#[derive(Debug)]
pub(crate) struct Active {
    segments: Arc<Segments>,
    file: File,
    number: u64,
    bytes: u64,
    /// Time of its first row, Unix milliseconds.
    oldest_ms: Option<i64>,
    newest_ms: i64,
    rotation: Rotation,
    /// Whether a failed write left half a row that could not be truncated; nothing may follow it.
    torn: bool,
}

impl Active {
    /// Continues the newest segment if it is plain, after trimming a torn last row, or begins the
    /// next one.
    pub(crate) fn open(segments: Arc<Segments>, bytes_max: u64, age_ms_max: i64, now_ms: i64) -> io::Result<Self> {
        let rotation = Rotation { bytes_max, age_ms_max };
        match segments.all().last() {
            Some((number, segment)) if !segment.compressed => Self::resume(segments, *number, *segment, rotation),
            last => {
                let number = last.map_or(1, |(number, _)| number + 1);
                let file = create(&segments, number)?;
                let active = Self {
                    segments,
                    file,
                    number,
                    bytes: 0,
                    oldest_ms: None,
                    newest_ms: now_ms,
                    rotation,
                    torn: false,
                };
                active.segments.set(number, active.summary());
                Ok(active)
            }
        }
    }

    fn resume(segments: Arc<Segments>, number: u64, segment: Segment, rotation: Rotation) -> io::Result<Self> {
        let path = segments.path(number, Form::Plain);
        let file = OpenOptions::new().read(true).append(true).open(&path)?;
        let bytes = whole_rows(&file)?;
        if bytes < file.metadata()?.len() {
            file.set_len(bytes)?;
            tracing::info!(path = %path.display(), "trimmed a torn last line");
        }
        // An index of a segment that grows again would be out of date.
        super::remove_if_there(&segments.path(number, Form::Index))?;
        segments.set(number, Segment { plain_bytes: bytes, disk_bytes: bytes, index_bytes: 0, ..segment });
        let newest_ms = segment.newest_ms;
        // The time of its first row is unknown; counting from its last one closes it a little
        // later.
        let oldest_ms = (bytes > 0).then_some(newest_ms);
        Ok(Self { segments, file, number, bytes, oldest_ms, newest_ms, rotation, torn: false })
    }

    /// The position of the next byte.
    pub(crate) fn position(&self) -> Position {
        Position { segment: self.number, offset: self.bytes }
    }

    /// Appends whole rows. After an error the segment is unchanged, or is closed by the next
    /// rotation.
    pub(crate) fn append(&mut self, rows: &[u8], now_ms: i64) -> io::Result<()> {
        if let Err(error) = self.file.write_all(rows) {
            // Half a row in the middle of the file would make the next one unreadable.
            self.torn = self.file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.bytes += rows.len() as u64;
        self.oldest_ms.get_or_insert(now_ms);
        self.newest_ms = now_ms;
        self.segments.set(self.number, self.summary());
        Ok(())
    }

    /// Closes the segment and begins the next if it is due or `full`; returns whether it did.
    pub(crate) fn rotate_if_due(&mut self, now_ms: i64, full: bool) -> io::Result<bool> {
        let full = full && self.bytes > 0;
        if !full && !self.torn && !must_rotate(self.rotation, self.bytes, self.oldest_ms, now_ms) {
            return Ok(false);
        }
        let next = create(&self.segments, self.number + 1)?;
        self.file.sync_data()?;
        self.file = next;
        self.number += 1;
        (self.bytes, self.oldest_ms, self.newest_ms, self.torn) = (0, None, now_ms, false);
        // The last one of the list is the active one, even before its first row.
        self.segments.set(self.number, self.summary());
        Ok(true)
    }

    /// Syncs everything written.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn summary(&self) -> Segment {
        Segment {
            plain_bytes: self.bytes,
            disk_bytes: self.bytes,
            index_bytes: 0,
            newest_ms: self.newest_ms,
            compressed: false,
        }
    }
}

fn create(segments: &Segments, number: u64) -> io::Result<File> {
    // Left over only if a start failed between this call and the first row.
    OpenOptions::new().append(true).create(true).open(segments.path(number, Form::Plain))
}

/// Bytes up to the end of the last whole row.
fn whole_rows(file: &File) -> io::Result<u64> {
    let mut rows = SegmentFile::plain(file.try_clone()?);
    let mut bytes = 0;
    loop {
        let part = rows.rows_at(bytes)?;
        if part.is_empty() {
            return Ok(bytes);
        }
        bytes += part.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::Retention;

    fn active(segments: &Arc<Segments>) -> Active {
        Active::open(segments.clone(), 10, 1_000, 0).unwrap()
    }

    #[test]
    fn a_torn_last_row_is_trimmed_and_writing_goes_on_behind_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let segments = Arc::new(Segments::open(dir.path()).unwrap());
        std::fs::write(segments.path(3, Form::Plain), "one\ntwo\nthr").unwrap();
        let segments = Arc::new(Segments::open(dir.path()).unwrap());
        let mut active = active(&segments);
        assert_eq!(active.position(), Position { segment: 3, offset: 8 });
        active.append(b"x\n", 1).unwrap();
        assert_eq!(segments.read(3).unwrap().unwrap().rows_at(0).unwrap(), b"one\ntwo\nx\n");
    }

    #[test]
    fn full_segments_close_are_compressed_and_go_when_there_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let segments = Arc::new(Segments::open(dir.path()).unwrap());
        let mut active = active(&segments);
        for now in 0..20 {
            active.rotate_if_due(now, false).unwrap();
            active.append(b"0123456789\n", now).unwrap();
        }
        segments.compress_closed(20).unwrap();
        let all = segments.all();
        assert_eq!(all.len(), 20);
        assert!(all[..19].iter().all(|(_, s)| s.compressed && s.plain_bytes == 11));
        assert_eq!(segments.read(7).unwrap().unwrap().rows_at(0).unwrap(), b"0123456789\n");
        let disk_bytes_max = all[14..].iter().map(|(_, s)| s.disk_bytes).sum();
        let limits = Retention { age_ms_max: i64::MAX, disk_bytes_max };
        segments.apply_retention(limits, 20, 20).unwrap();
        assert_eq!(segments.all().first().map(|(n, _)| *n), Some(15));
        assert!(segments.read(7).unwrap().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 6);
    }
}
