//! Queries of invocations and lines.
// A test stops at the first thing that is not as it should be; not every test file uses all that is
// shared.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use futures_util::StreamExt;
use logs::{Config, Filter, Followed, Query, Ret};
use support::{Instance, all, begin, end, everything, function, invoke, invoke_web, one, open};
use types::{Namespace, RunStatus};

fn lines_of(name: &str) -> Filter {
    Filter { function: Some(name.parse().unwrap()), ..Filter::all(Namespace::default_namespace()) }
}

#[tokio::test]
async fn an_invocation_comes_back_with_all_that_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let id = invoke(&logs, &function("hello"), 1_700_000_000_000);
    let found = one(&logs, &id).await;
    assert_eq!(found.function.to_string(), "default/hello");
    assert_eq!((found.version.to_string().as_str(), found.qualifier.as_str()), ("$LATEST", "$DEFAULT"));
    assert_eq!((found.start_ms, found.finished, found.status), (1_700_000_000_000, true, Some(RunStatus::Success)));
    assert_eq!((found.duration_us, found.bill_duration_ms, found.memory_bytes), (1_500, 2, 1 << 20));
    assert_eq!(found.ret_msg, format!("ret of {id}"));
    assert!(found.log.starts_with(&format!("START RequestId:{id}\nEND RequestId:{id}\nReport RequestId:{id} ")));
    logs.shutdown().await;
}

#[tokio::test]
async fn an_invocation_that_ends_before_it_is_written_is_there_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config { flush_ms: 60_000, ..Config::default() }).await;
    let followed = logs.follow(lines_of("hello"));
    let id = invoke_web(&logs, &function("hello"), 5);
    let wanted = [
        format!("START RequestId:{id}"),
        format!("END RequestId:{id}"),
        format!("Report RequestId:{id} Duration:2ms Memory:128MB MemUsage:1MB"),
    ];
    let log = wanted.join("\n") + "\n";
    assert_eq!(logs.tail(&id, 4096), log);
    let found = one(&logs, &id).await;
    assert_eq!((found.finished, found.status, &found.log), (true, Some(RunStatus::Success), &log));
    let lines = logs.lines(lines_of("hello"), None, 100).await.unwrap().lines;
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), wanted);
    logs.shutdown().await;
    let texts: Vec<_> = followed.collect().await;
    assert_eq!(texts, lines.into_iter().map(Followed::Line).collect::<Vec<_>>());
    let logs = open(dir.path(), Config::default()).await;
    assert_eq!(one(&logs, &id).await, found);
    logs.shutdown().await;
}

#[tokio::test]
async fn running_failed_and_other_functions_invocations_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let (hello, other) = (function("hello"), function("other"));
    let good = invoke(&logs, &hello, 1);
    let timed_out = begin(&logs, &hello, 2);
    end(&logs, &timed_out, RunStatus::TimeLimitReached);
    let running = begin(&logs, &hello, 3);
    invoke(&logs, &other, 4);
    let hello_with = |ret| Query { function: Some("hello".parse().unwrap()), ret, ..everything() };
    let found = async |ret| {
        let page = logs.invocations(hello_with(ret)).await.unwrap();
        page.invocations.into_iter().map(|i| i.request_id).collect::<Vec<_>>()
    };
    assert_eq!(found(Ret::Any).await, [running.clone(), timed_out.clone(), good.clone()]);
    assert_eq!(found(Ret::Succeeded).await, [good]);
    assert_eq!(found(Ret::Failed).await, std::slice::from_ref(&timed_out));
    assert_eq!(found(Ret::In(vec![RunStatus::TimeLimitReached])).await, [timed_out]);
    let seen = one(&logs, &running).await;
    assert!(!seen.finished && seen.status.is_none());
    logs.shutdown().await;
}

#[tokio::test]
async fn ten_thousand_invocations_are_answered_in_one_page() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes_max: 1 << 20, queue_bytes_max: 64 << 20, ..Config::default() };
    let logs = open(dir.path(), config).await;
    let function = function("hello");
    for n in 0..10_000 {
        invoke(&logs, &function, n);
    }
    let page = all(&logs).await;
    assert_eq!((page.total, page.invocations.len()), (10_000, 10_000));
    assert!(page.invocations.iter().all(|i| i.log.lines().count() == 3 && i.log.contains(i.request_id.as_str())));
    let starts: Vec<_> = page.invocations.iter().map(|i| i.start_ms).collect();
    assert_eq!(starts, (0..10_000).rev().collect::<Vec<_>>());
    logs.shutdown().await;
}

#[tokio::test]
async fn a_page_with_too_much_log_says_what_it_leaves_out() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config { page_log_bytes_max: 1_000, ..Config::default() }).await;
    let function = function("hello");
    for n in 0..20 {
        invoke(&logs, &function, n);
    }
    let page = all(&logs).await;
    assert_eq!(page.invocations.len(), 20);
    assert_eq!(page.invocations[0].log.lines().count(), 3);
    assert!(page.invocations[19].log.starts_with("[PLATFORM] The rest of this log is left out"));
    assert!(page.invocations[19].log.lines().count() == 1 && !page.invocations[19].ret_msg.is_empty());
    logs.shutdown().await;
}

#[tokio::test]
async fn long_results_and_lines_are_cut_at_a_character() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config { ret_msg_bytes_max: 5, line_bytes_max: 5, ..Config::default() }).await;
    let id = begin(&logs, &function("hello"), 1);
    logs.platform(&id, "äöüß");
    logs.finish(
        &id,
        logs::End {
            status: RunStatus::Success,
            ret_msg: "äöüß".into(),
            duration_us: 1,
            bill_duration_ms: 1,
            memory_bytes: 1,
            closing: vec!["ßüöä".into()],
            report_memory_mb: None,
        },
    );
    let found = one(&logs, &id).await;
    assert_eq!((found.ret_msg.as_str(), found.log.as_str()), ("äö", "äö\nßü\n"));
    logs.shutdown().await;
}

#[tokio::test]
async fn a_cursor_goes_on_where_the_last_page_ended() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config { segment_bytes_max: 4 << 10, ..Config::default() }).await;
    let (hello, other) = (function("hello"), function("other"));
    let mut expected = Vec::new();
    let (mut seen, mut cursor) = (Vec::new(), None);
    for n in 0..30 {
        let id = invoke(&logs, &hello, n);
        invoke(&logs, &other, n);
        expected.extend([format!("START RequestId:{id}"), format!("END RequestId:{id}")]);
        loop {
            let page = logs.lines(lines_of("hello"), cursor, 2).await.unwrap();
            seen.extend(page.lines.into_iter().map(|l| l.text).filter(|text| !text.starts_with("Report")));
            cursor = Some(page.next.to_string().parse().unwrap());
            if !page.more {
                break;
            }
        }
    }
    assert_eq!(seen, expected);
    logs.shutdown().await;
}

#[tokio::test]
async fn followers_see_new_lines_of_their_function_until_the_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let (hello, other) = (function("hello"), function("other"));
    invoke(&logs, &hello, 1);
    all(&logs).await;
    let followed = logs.follow(lines_of("hello"));
    let mut instance = Instance::attach(&logs, &hello);
    invoke(&logs, &other, 2);
    let id = begin(&logs, &hello, 3);
    logs.assign(&instance.id, Some(&id));
    logs.platform(&id, "START");
    instance.print("hello\n");
    logs.settle(&instance.id);
    logs.shutdown().await;
    let texts: Vec<_> = followed
        .map(|item| match item {
            Followed::Line(line) => line.text,
            Followed::Skipped(lines) => panic!("{lines} lines were skipped"),
        })
        .collect()
        .await;
    assert_eq!(texts, ["START", "hello"]);
    assert_eq!(logs.follow(lines_of("hello")).count().await, 0);
}

#[tokio::test]
async fn a_slow_follower_is_told_how_much_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config { follow_lines_max: 4, ..Config::default() }).await;
    let hello = function("hello");
    let followed = logs.follow(lines_of("hello"));
    let id = begin(&logs, &hello, 1);
    (0..10).for_each(|n| logs.platform(&id, &format!("line {n}")));
    logs.shutdown().await;
    let items: Vec<_> = followed.collect().await;
    assert_eq!(items[0], Followed::Skipped(6));
    assert_eq!(items.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_that_ends_while_it_is_asked_for_is_never_called_interrupted() {
    const INVOCATIONS: i64 = 300;
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let (hello, others) = (function("hello"), logs.clone());
    let invoking = tokio::spawn(async move {
        for start_ms in 0..INVOCATIONS {
            let id = begin(&others, &hello, start_ms);
            tokio::task::yield_now().await;
            end(&others, &id, RunStatus::Success);
            tokio::task::yield_now().await;
        }
    });
    while !invoking.is_finished() {
        let page = all(&logs).await;
        let interrupted: Vec<_> = page.invocations.iter().filter(|run| run.finished && run.status.is_none()).collect();
        assert!(interrupted.is_empty(), "{interrupted:?}");
    }
    invoking.await.unwrap();
    logs.shutdown().await;
}
