//! Selection and order of invocations. Pure.

use std::cmp::Ordering;
use std::sync::Arc;

use types::{FunctionName, Namespace, RequestId, RunStatus};

use crate::entry::Entry;
use crate::segment_index::{Group, duration_us, id_number, memory_kib};

/// Filter by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ret {
    /// All, running ones too.
    #[default]
    Any,
    /// Failed, including interrupted ones.
    Failed,
    /// Succeeded.
    Succeeded,
    /// Ended with one of these statuses.
    In(Vec<RunStatus>),
}

/// Sort key of a page of invocations; equal ones by start time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// When it began.
    #[default]
    StartTime,
    /// How long it ran.
    Duration,
    /// Its highest memory.
    Memory,
    /// The function's name.
    FunctionName,
}

/// A query of invocations; conditions are joined by AND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Of this namespace.
    pub namespace: Namespace,
    /// Of this function.
    pub function: Option<FunctionName>,
    /// Called by this alias, or of this version.
    pub qualifier: Option<String>,
    /// This one.
    pub request_id: Option<RequestId>,
    /// Begun at this time or later, Unix milliseconds.
    pub start_ms: i64,
    /// Begun at this time or earlier, Unix milliseconds.
    pub end_ms: i64,
    /// Filter by outcome.
    pub ret: Ret,
    /// Sorted by this.
    pub order_by: OrderBy,
    /// Largest or latest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: usize,
    /// How many to return; at most `page_len_max` are.
    pub limit: usize,
}

impl Query {
    /// The latest 20 invocations of a namespace.
    pub fn latest(namespace: Namespace) -> Self {
        Self {
            namespace,
            function: None,
            qualifier: None,
            request_id: None,
            start_ms: 0,
            end_ms: i64::MAX,
            ret: Ret::Any,
            order_by: OrderBy::StartTime,
            descending: true,
            offset: 0,
            limit: 20,
        }
    }

    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        (self.start_ms..=self.end_ms).contains(&entry.start_ms)
            && entry.callee.key.namespace == self.namespace
            && self.function.as_ref().is_none_or(|name| *name == entry.callee.key.name)
            && self.request_id.as_ref().is_none_or(|id| *id == entry.request_id)
            && self.qualifier.as_deref().is_none_or(|q| entry.callee.is_named(q))
            && self.ret.matches(entry.outcome.map(|outcome| outcome.status))
    }

    /// Whether the query can match ends of a group, regardless of their time.
    pub(crate) fn wants(&self, group: &Group) -> bool {
        self.qualifier.as_deref().is_none_or(|q| q == group.qualifier || q == group.version.to_string())
            && self.ret.matches(Some(group.status()))
    }

    /// The order of a page.
    pub(crate) fn compare(&self, a: &Rank, b: &Rank) -> Ordering {
        let by_key = match self.order_by {
            OrderBy::StartTime => Ordering::Equal,
            OrderBy::Duration => a.duration_us.cmp(&b.duration_us),
            OrderBy::Memory => a.memory_kib.cmp(&b.memory_kib),
            OrderBy::FunctionName => a.name.cmp(&b.name),
        };
        // The id makes the order total, so that pages of one query neither overlap nor leave gaps.
        let order = by_key.then(a.start_ms.cmp(&b.start_ms)).then(a.id.cmp(&b.id));
        if self.descending { order.reverse() } else { order }
    }

    /// Number of leading invocations that determine the page.
    pub(crate) fn reach(&self, page_len_max: usize) -> usize {
        self.offset.saturating_add(self.limit.min(page_len_max))
    }
}

/// Sort key of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) name: Arc<str>,
    pub(crate) start_ms: i64,
    pub(crate) id: u128,
    pub(crate) duration_us: u32,
    pub(crate) memory_kib: u32,
}

impl Rank {
    pub(crate) fn of(entry: &Entry) -> Self {
        let (duration, memory) = entry.outcome.map_or((0, 0), |o| (o.duration_us, o.memory_bytes));
        Self {
            name: entry.callee.key.name.as_str().into(),
            start_ms: entry.start_ms,
            id: id_number(&entry.request_id),
            duration_us: duration_us(duration),
            memory_kib: memory_kib(memory),
        }
    }
}

impl Ret {
    /// `status`: that of the end, where there is one.
    fn matches(&self, status: Option<Option<RunStatus>>) -> bool {
        match self {
            Self::Any => true,
            Self::Failed => status.is_some_and(|s| s != Some(RunStatus::Success)),
            Self::Succeeded => status == Some(Some(RunStatus::Success)),
            Self::In(wanted) => status.flatten().is_some_and(|s| wanted.contains(&s)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callee::Callee;
    use crate::row::Outcome;
    use types::{FunctionKey, Qualifier, VersionName};

    fn entry(name: &str, start_ms: i64, status: Option<Option<RunStatus>>, duration_us: u64) -> Arc<Entry> {
        let key = FunctionKey { namespace: Namespace::default_namespace(), name: name.parse().unwrap() };
        Arc::new(Entry {
            request_id: RequestId::random(),
            callee: Arc::new(Callee::new(key, VersionName::Number(3), Qualifier::Alias("prod".into()))),
            start_ms,
            outcome: status.map(|status| Outcome { status, duration_us, memory_bytes: (100 - duration_us) << 10 }),
            extents: Default::default(),
        })
    }

    fn entries() -> Vec<Arc<Entry>> {
        vec![
            entry("b-fn", 1, Some(Some(RunStatus::Success)), 50),
            entry("a-fn", 2, Some(Some(RunStatus::TimeLimitReached)), 70),
            entry("c-fn", 3, Some(None), 10),
            entry("a-fn", 4, None, 0),
        ]
    }

    fn starts(change: impl Fn(&mut Query)) -> Vec<i64> {
        let mut query = Query::latest(Namespace::default_namespace());
        change(&mut query);
        let mut ranks: Vec<_> = entries().iter().filter(|e| query.matches(e)).map(|e| Rank::of(e)).collect();
        ranks.sort_unstable_by(|a, b| query.compare(a, b));
        ranks.iter().take(query.reach(10_000)).skip(query.offset).map(|rank| rank.start_ms).collect()
    }

    #[test]
    fn each_condition_filters() {
        assert_eq!(starts(|_| {}), [4, 3, 2, 1]);
        assert_eq!(starts(|q| q.namespace = "other".parse().unwrap()), [0i64; 0]);
        assert_eq!(starts(|q| q.function = Some("a-fn".parse().unwrap())), [4, 2]);
        assert_eq!(starts(|q| q.qualifier = Some("prod".into())).len(), 4);
        assert_eq!(starts(|q| q.qualifier = Some("3".into())).len(), 4);
        assert_eq!(starts(|q| q.qualifier = Some("4".into())).len(), 0);
        assert_eq!(starts(|q| (q.start_ms, q.end_ms) = (2, 3)), [3, 2]);
        assert_eq!(starts(|q| q.ret = Ret::Failed), [3, 2]);
        assert_eq!(starts(|q| q.ret = Ret::Succeeded), [1]);
        assert_eq!(starts(|q| q.ret = Ret::In(vec![RunStatus::TimeLimitReached])), [2]);
    }

    #[test]
    fn pages_follow_the_order() {
        assert_eq!(starts(|q| q.descending = false), [1, 2, 3, 4]);
        assert_eq!(starts(|q| q.order_by = OrderBy::Duration), [2, 1, 3, 4]);
        assert_eq!(starts(|q| q.order_by = OrderBy::Memory), [3, 1, 2, 4]);
        assert_eq!(starts(|q| (q.order_by, q.descending) = (OrderBy::FunctionName, false)), [2, 4, 1, 3]);
        assert_eq!(starts(|q| (q.offset, q.limit) = (1, 2)), [3, 2]);
        assert_eq!(starts(|q| q.offset = 9), [0i64; 0]);
    }
}
