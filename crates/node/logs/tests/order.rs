//! The order of lines of requests that overlap.
// A test stops at the first thing that is not as it should be; not every test file uses all that is
// shared.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use logs::{Config, Filter, LinePage, Logs};
use support::{Instance, begin_web, end_web, function, open};
use types::{Namespace, RequestId};

fn of_hello() -> Filter {
    Filter { function: Some("hello".parse().unwrap()), ..Filter::all(Namespace::default_namespace()) }
}

/// Waits until the records' clock shows a later time, and returns it.
fn later_ms() -> i64 {
    let now = SystemTime::now();
    while now.elapsed().is_ok_and(|elapsed| elapsed.as_millis() < 2) {
        std::thread::yield_now();
    }
    i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// Prints a line that belongs to no request, as instances with several at once do.
fn print(logs: &Logs, instance: &mut Instance, text: &str) {
    later_ms();
    instance.print(&format!("{text}\n"));
    logs.settle(&instance.id);
    later_ms();
}

/// The first words of the lines, with names in place of ids.
fn words(page: &LinePage, names: [(&RequestId, &str); 2]) -> Vec<String> {
    let words = page.lines.iter().map(|line| {
        let named = names.iter().fold(line.text.clone(), |text, (id, name)| text.replace(id.as_str(), name));
        named.replace("RequestId:", "").split(' ').take(2).collect::<Vec<_>>().join(" ")
    });
    words.collect()
}

#[tokio::test]
async fn lines_of_overlapping_requests_are_in_the_order_of_their_times() {
    let dir = tempfile::tempdir().unwrap();
    // Both ends come while the beginnings are queued, so that they are written with them.
    let logs = open(dir.path(), Config { flush_ms: 3_600_000, ..Config::default() }).await;
    let hello = function("hello");
    let mut instance = Instance::attach(&logs, &hello);
    print(&logs, &mut instance, "before");
    let outer = begin_web(&logs, &hello, later_ms());
    print(&logs, &mut instance, "outer runs");
    let inner = begin_web(&logs, &hello, later_ms());
    print(&logs, &mut instance, "both run");
    end_web(&logs, &inner);
    print(&logs, &mut instance, "inner ended");
    end_web(&logs, &outer);
    print(&logs, &mut instance, "outer ended");
    let asked_ms = later_ms();

    let newest = logs.newest_lines(of_hello(), 100).await.unwrap();
    let wanted = [
        "before",
        "START outer",
        "outer runs",
        "START inner",
        "both run",
        "END inner",
        "Report inner",
        "inner ended",
        "END outer",
        "Report outer",
        "outer ended",
    ];
    let names = [(&outer, "outer"), (&inner, "inner")];
    assert_eq!(words(&newest, names), wanted);
    assert!(newest.lines.is_sorted_by_key(|line| line.time_ms), "{newest:?}");
    // An end has its own time, not that of the write.
    assert!(newest.lines.iter().all(|line| line.time_ms < asked_ms), "{newest:?}");
    let followed = logs.lines(of_hello(), None, 100).await.unwrap();
    assert_eq!(followed.lines, newest.lines);
    let of_inner = logs.lines(Filter { request_id: Some(inner.clone()), ..of_hello() }, None, 100).await.unwrap();
    assert_eq!(words(&of_inner, names), ["START inner", "END inner", "Report inner"]);
    logs.shutdown().await;
}
