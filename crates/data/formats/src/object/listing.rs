//! Detection of new objects in a bucket's listing. Stores give times in whole seconds and may show
//! an object only after its modification time, so each pass lists the time shortly before the
//! newest object again; the objects seen there are remembered.

use std::collections::HashMap;

use serde_json::json;

use super::Change;

/// Maximum of remembered objects; beyond it, the event queue still deduplicates those of a day.
const SEEN_MAX: usize = 100_000;

/// A listed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key, decoded.
    pub key: String,
    /// Its ETag.
    pub etag: Option<String>,
    /// Its size.
    pub size: Option<u64>,
    /// Unix milliseconds of its last modification.
    pub modified_ms: i64,
}

/// The state of one pass over a bucket.
#[derive(Debug)]
pub struct Pass {
    since_ms: i64,
    newest_ms: i64,
}

/// Objects that earlier passes of this process saw within the overlap.
#[derive(Debug, Default)]
pub struct Seen(HashMap<String, i64>);

impl Pass {
    /// Begins a pass. `mark_ms` is the result of the last full pass; before the first one, objects
    /// as new as the trigger count.
    pub fn begin(mark_ms: Option<i64>, created_ms: i64, overlap_s: u32) -> Self {
        let created_ms = created_ms.div_euclid(1000) * 1000;
        let mark_ms = mark_ms.unwrap_or(created_ms);
        let since_ms = mark_ms.saturating_sub(i64::from(overlap_s) * 1000).max(created_ms);
        Self { since_ms, newest_ms: mark_ms }
    }

    /// The change for an object; `None` for an old one.
    pub fn change(&mut self, bucket: &str, object: &Listed, seen: &Seen) -> Option<Change> {
        self.newest_ms = self.newest_ms.max(object.modified_ms);
        if object.modified_ms < self.since_ms {
            return None;
        }
        let change = created(bucket, object);
        (!seen.0.contains_key(&change.dedup_key())).then_some(change)
    }

    /// The mark for the next pass; only for a pass that reached the end of the list. An object with
    /// a future time does not hide those before it.
    pub fn end(self, now_ms: i64) -> i64 {
        self.newest_ms.min(now_ms)
    }
}

impl Seen {
    /// Whether the maximum is remembered.
    pub fn is_full(&self) -> bool {
        self.0.len() >= SEEN_MAX
    }

    /// Remembers a change whose events are durable.
    pub fn remember(&mut self, change: &Change) {
        if self.0.len() < SEEN_MAX {
            self.0.insert(change.dedup_key(), change.time_ms.unwrap_or(i64::MAX));
        }
    }

    /// Forgets objects that no further pass lists.
    pub fn forget_before(&mut self, mark_ms: i64, overlap_s: u32) {
        let since_ms = mark_ms.saturating_sub(i64::from(overlap_s) * 1000);
        self.0.retain(|_, modified_ms| *modified_ms >= since_ms);
    }
}

/// The change in the form of a notification; the same object always gives the same change.
fn created(bucket: &str, object: &Listed) -> Change {
    const NAME: &str = "ObjectCreated:Put";
    let Listed { key, etag, size, modified_ms } = object;
    let etag = etag.as_deref().map(|etag| etag.trim_matches('"').to_owned());
    let encoded = percent_encoding::utf8_percent_encode(key, super::cos::IN_PATHS).to_string();
    let time = jiff::Timestamp::from_millisecond(*modified_ms).map(|time| time.to_string()).unwrap_or_default();
    let record = json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventTime": time, "eventName": NAME,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": bucket},
            "object": {"key": encoded, "size": size.unwrap_or(0), "eTag": etag.as_deref().unwrap_or_default()},
        },
    });
    Change {
        name: NAME.to_owned(),
        bucket: bucket.to_owned(),
        key: key.clone(),
        size: *size,
        etag,
        version: None,
        sequencer: None,
        time_ms: Some(*modified_ms),
        region: None,
        source_ip: None,
        request_id: None,
        content_type: None,
        chain_depth: None,
        raw: record.to_string().into(),
        is_record: true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Notification;
    use super::*;

    fn object(key: &str, second: i64) -> Listed {
        Listed { key: key.to_owned(), etag: Some("\"e\"".to_owned()), size: Some(3), modified_ms: second * 1000 }
    }

    const NOW_MS: i64 = 1_000_000_000;

    #[test]
    fn an_object_of_the_future_hides_none_of_now() {
        let mut seen = Seen::default();
        let (found, mark) = pass(None, &mut seen, &[object("future", 4_000_000_000), object("a", 2000)]);
        assert_eq!((found.len(), mark), (2, NOW_MS));
        let next = [object("future", 4_000_000_000), object("a", 2000), object("b", NOW_MS / 1000 + 5)];
        assert_eq!(pass(Some(mark), &mut seen, &next).0, ["b"]);
    }

    /// One pass over the whole list; returns the new objects, and the mark.
    fn pass(mark: Option<i64>, seen: &mut Seen, list: &[Listed]) -> (Vec<String>, i64) {
        let mut pass = Pass::begin(mark, 1_000_500, 60);
        let found: Vec<_> = list.iter().filter_map(|object| pass.change("b", object, seen)).collect();
        found.iter().for_each(|change| seen.remember(change));
        let mark = pass.end(NOW_MS);
        seen.forget_before(mark, 60);
        (found.into_iter().map(|change| change.key).collect(), mark)
    }

    #[test]
    fn an_object_of_the_same_second_that_appears_later_is_found() {
        let mut seen = Seen::default();
        let first = [object("old", 999), object("a", 1000), object("b", 2000)];
        let (found, mark) = pass(None, &mut seen, &first);
        assert_eq!((found, mark), (vec!["a".to_owned(), "b".to_owned()], 2_000_000));
        // Trap 30: the same second, and even earlier ones within the overlap.
        let later = [object("c", 2000), object("d", 1950), object("e", 1930)];
        let all = [&first[..], &later[..]].concat();
        let (found, mark) = pass(Some(mark), &mut seen, &all);
        assert_eq!((found, mark), (vec!["c".to_owned(), "d".to_owned()], 2_000_000));
        assert_eq!(pass(Some(mark), &mut seen, &all).0, Vec::<String>::new());
    }

    #[test]
    fn an_object_that_is_written_again_is_new_and_what_is_forgotten_is_old() {
        let mut seen = Seen::default();
        let (_, mark) = pass(None, &mut seen, &[object("a", 2000)]);
        let (found, mark) = pass(Some(mark), &mut seen, &[object("a", 2001), object("z", 5000)]);
        assert_eq!((found, mark), (vec!["a".to_owned(), "z".to_owned()], 5_000_000));
        assert_eq!(seen.0.len(), 1, "only what another pass would look at is remembered");
        assert!(pass(Some(mark), &mut seen, &[object("a", 2001), object("z", 5000)]).0.is_empty());
    }

    #[test]
    fn nothing_from_before_the_trigger_counts_and_an_empty_bucket_keeps_the_mark() {
        let mut seen = Seen::default();
        assert_eq!(pass(None, &mut seen, &[object("a", 999)]), (vec![], 1_000_000));
        assert_eq!(pass(Some(1_030_000), &mut seen, &[object("a", 999)]), (vec![], 1_030_000));
        assert_eq!(pass(Some(1_030_000), &mut seen, &[]), (vec![], 1_030_000));
    }

    #[test]
    fn a_listed_object_is_the_record_of_its_creation() {
        let change = created("b", &object("in/a +%.mp4", 2000));
        let Ok(Notification::Changes(read)) = Notification::parse(&change.raw_event()) else { panic!("unreadable") };
        assert_eq!(read, std::slice::from_ref(&change));
        assert_eq!(change.dedup_key(), created("b", &object("in/a +%.mp4", 2000)).dedup_key());
        assert_ne!(change.dedup_key(), created("b", &object("in/a +%.mp4", 2001)).dedup_key());
    }
}
