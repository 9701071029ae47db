//! One invocation in the index: its callee, its outcome, and the place of its rows.

use std::sync::Arc;

use types::RequestId;

use crate::callee::{Callee, Callees};
use crate::extents::{Extents, Position};
use crate::row::{Kind, Outcome, Row};

/// One invocation, without its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) request_id: RequestId,
    pub(crate) callee: Arc<Callee>,
    pub(crate) start_ms: i64,
    /// `None` while it runs.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) extents: Extents,
}

impl Entry {
    /// From a `begin` or `end` row of `len` bytes at `at`; `None` for other rows and damaged ones.
    pub(crate) fn of_row(row: &Row<'_>, callees: &mut Callees, at: Position, len: u64) -> Option<Self> {
        if row.kind == Kind::Line {
            return None;
        }
        let mut extents = row.extents.clone().unwrap_or_default();
        extents.add(at, len);
        Some(Self {
            request_id: row.request_id.clone()?,
            callee: callees.get(&row.key()?, row.version, &row.qualifier()),
            start_ms: row.start_ms?,
            outcome: row.outcome(),
            extents,
        })
    }
}
