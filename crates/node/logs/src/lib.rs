//! Function logs: output collected from outside the instance, platform lines, and one record for
//! each invocation.
//!
//! Owns the readers of instances' pipes, the segment files and the index of recent invocations.
//!
//! # Data flow
//! ```text
//! instance --pipe--> reader (a task per instance: split, limit, assign to a request) --+
//! invoke   --begin / platform / finish------------------------------------------------ queue --> writer
//!                                                       writer --> batch of rows --> active segment
//!                                                                                |--> index
//!                                                                                +--> followers
//! ```
//! No caller waits for the disk: the queue is bounded in bytes, and lines that do not fit are
//! dropped, counted, and reported in the log. Readers read several times as fast as lines are kept
//! (`instance_read_factor`); the excess stays in the pipe, which blocks the instance: a flood costs
//! the platform little and other functions nothing.
//!
//! # The record of an invocation
//! A beginning puts one pointer into the queue. An end that is recorded before the writer has taken
//! the beginning joins it there, so that a short request is one entry; an end that has texts, or
//! follows lines of output, is an entry of its own. START, END and Report are formatted from the
//! record: by the writer, with the rows of a batch, and by [`Logs::tail`].
//!
//! # On disk
//! ```text
//! <dir>/segments/0000000007.jsonl.zst    closed: zstd frames with a seek table behind them; `zstdcat` reads it
//! <dir>/segments/0000000008.jsonl        active: one JSON object a line, appended
//! <dir>/segments/0000000007.idx          index of a closed one, see `segment_index`; made again when it is missing
//! <dir>/segments/0000000007.tmp          being compressed; removed by the next start (idx.tmp too)
//! ```
//! Field names are the contract's (`SCF_RequestId`, `SCF_Message`, …; see `row.rs`), so that log
//! shippers can follow the files. Closed segments are removed when they are older than
//! `retention_days`, or oldest first when all together are larger than `disk_bytes_max`.
//!
//! # What a crash loses
//! The writer passes its batches to the kernel each `flush_ms`, so a killed Sampan loses at most
//! that much of the log; written rows stay. Files are synced when a segment closes and on
//! shutdown only: a power cut may lose what the kernel had not written back (typically the last 30
//! seconds). A torn last line is trimmed at the next start, and invocations without an end are
//! recorded as interrupted.
#![forbid(unsafe_code)]
// A test stops at the first thing that is not as it should be.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod archive;
mod batch;
mod callee;
mod clock;
mod config;
mod encode;
mod entry;
mod error;
mod extents;
mod handle;
mod index;
mod invocations;
mod limit;
mod lines;
mod live;
mod platform_lines;
mod query;
mod queue;
mod reader;
mod record;
mod row;
mod run;
mod scan;
mod segment_index;
mod segments;
mod select;
mod shares;
mod sink;
mod split;
mod store;
mod tail;
mod writer;

pub use config::Config;
pub use error::Error;
pub use handle::{InvocationLog, Logs};
pub use invocations::{Invocation, Page};
pub use lines::{Cursor, Filter, Followed, Line, LinePage, Stream};
pub use query::{OrderBy, Query, Ret};
pub use reader::Stdio;
pub use run::{Begin, End};
pub use segments::Reads;
