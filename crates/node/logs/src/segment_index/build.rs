//! Builds an index from the rows of its segment. Pure except for reading them.

use std::collections::HashMap;
use std::io;

use types::VersionName;

use super::{Block, Directory, EndEntry, FunctionRows, Group, duration_us, file, id_number, memory_kib};
use crate::row::{Head, Kind, Row};
use crate::segments::SegmentFile;

/// Reads all rows and returns the index's bytes.
pub(super) fn build(rows: &mut SegmentFile) -> io::Result<Vec<u8>> {
    let mut builder = Builder::default();
    let mut offset = 0;
    loop {
        let block = rows.rows_at(offset)?;
        if block.is_empty() {
            return file::encode(builder.finish());
        }
        offset += builder.block(offset, &block);
    }
}

/// Key of a group within its function.
type GroupKey = (VersionName, String, Option<u16>);

#[derive(Default)]
struct Builder {
    blocks: Vec<Block>,
    functions: Vec<Function>,
    /// Indexes in `functions` by namespace and name, as one text.
    by_name: HashMap<String, usize>,
}

struct Function {
    namespace: String,
    name: String,
    blocks: Vec<u32>,
    groups: HashMap<GroupKey, Vec<EndEntry>>,
}

impl Builder {
    /// Adds the rows of a block; returns their bytes.
    fn block(&mut self, offset: u64, rows: &[u8]) -> u64 {
        let mut block = Block { offset, oldest_ms: i64::MAX, newest_ms: i64::MIN };
        let mut at = offset;
        for row in rows.split_inclusive(|byte| *byte == b'\n') {
            if let Some(head) = Head::of(row) {
                block.oldest_ms = block.oldest_ms.min(head.time_ms);
                block.newest_ms = block.newest_ms.max(head.time_ms);
                self.row(&head, row, at);
            }
            at += row.len() as u64;
        }
        self.blocks.push(block);
        at - offset
    }

    fn row(&mut self, head: &Head<'_>, row: &[u8], offset: u64) {
        let number = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        let function = self.function(head.namespace, head.function);
        if function.blocks.last() != Some(&number) {
            function.blocks.push(number);
        }
        if head.kind == Kind::End
            && let Some(row_of_end) = Row::decode(row)
            && let Some((key, entry)) = end(&row_of_end, offset, row.len())
        {
            function.groups.entry(key).or_default().push(entry);
        }
    }

    fn function(&mut self, namespace: &str, name: &str) -> &mut Function {
        // Neither part has a slash.
        let key = format!("{namespace}/{name}");
        let place = *self.by_name.entry(key).or_insert_with(|| {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            self.functions.push(Function { namespace, name, blocks: Vec::new(), groups: HashMap::new() });
            self.functions.len() - 1
        });
        &mut self.functions[place]
    }

    /// The directory, and the entries in its order.
    fn finish(self) -> (Directory, Vec<EndEntry>) {
        let mut entries = Vec::new();
        let mut functions = Vec::new();
        for function in self.functions {
            let mut groups = Vec::new();
            for (key, mut ends) in function.groups {
                ends.sort_unstable_by_key(|end| (end.start_ms, end.id));
                groups.push(group(key, entries.len(), &ends));
                entries.append(&mut ends);
            }
            let Function { namespace, name, blocks, .. } = function;
            functions.push(FunctionRows { namespace, name, blocks, groups });
        }
        (Directory { blocks: self.blocks, functions, fanout: Vec::new() }, entries)
    }
}

/// `None` for a damaged row.
fn end(row: &Row<'_>, offset: u64, len: usize) -> Option<(GroupKey, EndEntry)> {
    let outcome = row.outcome()?;
    row.key()?;
    let entry = EndEntry {
        id: id_number(row.request_id.as_ref()?),
        start_ms: row.start_ms?,
        duration_us: duration_us(outcome.duration_us),
        memory_kib: memory_kib(outcome.memory_bytes),
        offset,
        len: u32::try_from(len).ok()?,
    };
    Some(((row.version, row.qualifier().to_string(), outcome.status.map(|status| status.code())), entry))
}

fn group((version, qualifier, status): GroupKey, first: usize, ends: &[EndEntry]) -> Group {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Group {
        version,
        qualifier,
        status,
        first: number(first),
        count: number(ends.len()),
        start_ms: range(ends.iter().map(|end| end.start_ms)),
        duration_us: range(ends.iter().map(|end| end.duration_us)),
        memory_kib: range(ends.iter().map(|end| end.memory_kib)),
    }
}

fn range<T: Ord + Copy + Default>(values: impl Iterator<Item = T> + Clone) -> (T, T) {
    (values.clone().min().unwrap_or_default(), values.max().unwrap_or_default())
}
