//! The newest lines, read from the end of the log backwards.
// A test stops at the first thing that is not as it should be; not every test file uses all that is
// shared.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use logs::{Config, Filter, LinePage, Logs};
use support::{Instance, begin, end, function, invoke, open};
use types::{Namespace, RunStatus};

fn of(name: &str) -> Filter {
    Filter { function: Some(name.parse().unwrap()), ..Filter::all(Namespace::default_namespace()) }
}

fn texts(page: &LinePage) -> Vec<&str> {
    page.lines.iter().map(|line| line.text.as_str()).collect()
}

/// Prints numbered lines outside any request, so that they fill segments.
async fn print(logs: &Logs, instance: &mut Instance, numbers: std::ops::Range<u32>) {
    for number in numbers {
        instance.print(&format!("line {number}\n"));
        logs.settle(&instance.id);
    }
}

#[tokio::test]
async fn the_newest_lines_come_from_all_segments_in_the_order_written() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes_max: 8 << 10, ..Config::default() };
    let logs = open(dir.path(), config.clone()).await;
    let (hello, other) = (function("hello"), function("other"));
    let mut instance = Instance::attach(&logs, &hello);
    for round in 0..30 {
        print(&logs, &mut instance, round * 10..(round + 1) * 10).await;
        invoke(&logs, &other, 1);
        // The query writes the queued records, which closes segments.
        logs.newest_lines(of("hello"), 1).await.unwrap();
    }
    let page = logs.newest_lines(of("hello"), 250).await.unwrap();
    let wanted: Vec<String> = (50..300).map(|number| format!("line {number}")).collect();
    assert_eq!((texts(&page), page.more), (wanted.iter().map(String::as_str).collect(), true));
    let page = logs.newest_lines(of("hello"), 1_000).await.unwrap();
    assert_eq!((page.lines.len(), page.more), (300, false));
    print(&logs, &mut instance, 300..303).await;
    let after = logs.lines(of("hello"), Some(page.next), 100).await.unwrap();
    assert_eq!(texts(&after), ["line 300", "line 301", "line 302"]);
    drop(instance);
    logs.shutdown().await;
    let logs = open(dir.path(), Config { newest_scan_bytes_max: 1, ..config }).await;
    let page = logs.newest_lines(of("other"), 1_000).await.unwrap();
    assert!(page.more && page.lines.len() < 90, "only the newest stretch was looked at: {}", page.lines.len());
    logs.shutdown().await;
}

#[tokio::test]
async fn lines_are_found_by_their_instance_and_outside_requests() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let hello = function("hello");
    let mut one = Instance::attach(&logs, &hello);
    let mut two = Instance::attach(&logs, &hello);
    print(&logs, &mut one, 0..1).await;
    print(&logs, &mut two, 1..2).await;
    let id = begin(&logs, &hello, 5);
    logs.assign(&one.id, Some(&id));
    print(&logs, &mut one, 2..3).await;
    logs.assign(&one.id, None);
    end(&logs, &id, RunStatus::Success);
    let found = async |filter: Filter| logs.newest_lines(filter, 10).await.unwrap();
    let by_instance = found(Filter { instance: Some(one.id.to_string()), ..of("hello") }).await;
    assert_eq!(texts(&by_instance), ["line 0", "line 2"]);
    let prefix = two.id.as_str()[..10].to_owned();
    assert_eq!(texts(&found(Filter { instance: Some(prefix), ..of("hello") }).await), ["line 1"]);
    assert_eq!(texts(&found(Filter { outside_requests: true, ..of("hello") }).await), ["line 0", "line 1"]);
    assert_eq!(texts(&found(Filter { request_id: Some(id), ..of("hello") }).await), ["line 2"]);
    assert_eq!(texts(&found(Filter { end_ms: 1, ..of("hello") }).await), [""; 0]);
    logs.shutdown().await;
}

#[tokio::test]
async fn lines_of_failed_requests_come_whole_where_the_request_ended() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let hello = function("hello");
    let failing = begin(&logs, &hello, 1);
    logs.platform(&failing, "before");
    invoke(&logs, &hello, 2);
    let failed = Filter { failed: true, ..of("hello") };
    let before = logs.newest_lines(failed.clone(), 10).await.unwrap();
    assert_eq!(texts(&before), [""; 0]);
    logs.platform(&failing, "after");
    end(&logs, &failing, RunStatus::UserCodeException);
    assert_eq!(texts(&logs.newest_lines(failed.clone(), 10).await.unwrap()), ["before", "after"]);
    assert_eq!(texts(&logs.newest_lines(failed.clone(), 1).await.unwrap()), ["after"]);
    assert_eq!(texts(&logs.lines(failed, Some(before.next), 10).await.unwrap()), ["before", "after"]);
    logs.shutdown().await;
}
