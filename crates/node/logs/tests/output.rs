//! Output of instances: assignment of lines to requests, the time of reading, and floods.
// A test stops at the first thing that is not as it should be; not every test file uses all that is
// shared.
#![allow(clippy::unwrap_used, dead_code)]

mod support;

use std::io::Write;

use logs::{Begin, Config, Filter, Logs, Stream};
use support::{Instance, all, begin, end, function, one, open};
use types::{Namespace, Qualifier, RequestId, RunStatus, VersionName};

async fn log_of(logs: &Logs, request: &RequestId) -> String {
    one(logs, request).await.log
}

#[tokio::test]
async fn output_belongs_to_the_request_that_the_instance_serves() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    let mut requests = Vec::new();
    for n in 0..20 {
        let request = begin(&logs, &function, n);
        logs.assign(&instance.id, Some(&request));
        logs.platform(&request, "START");
        instance.print(&format!("out of {n}\n"));
        instance.stderr.write_all(format!("err of {n}\n").as_bytes()).unwrap();
        logs.settle(&instance.id);
        logs.platform(&request, "END");
        end(&logs, &request, RunStatus::Success);
        requests.push(request);
    }
    for (n, request) in requests.iter().enumerate() {
        let expected = format!("START\nout of {n}\nerr of {n}\nEND\n");
        assert_eq!(log_of(&logs, request).await, expected);
        assert_eq!(logs.tail(request, 4096), expected);
    }
    logs.shutdown().await;
}

#[tokio::test]
async fn a_line_about_an_instance_belongs_to_the_request_that_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let instance = Instance::attach(&logs, &function);
    logs.about(&instance.id, "before any request");
    let request = begin(&logs, &function, 1);
    logs.assign(&instance.id, Some(&request));
    logs.about(&instance.id, "refused");
    logs.about(&types::InstanceId::random(), "lost");
    end(&logs, &request, RunStatus::Success);
    assert_eq!(log_of(&logs, &request).await, "[PLATFORM] refused\n");
    logs.shutdown().await;
}

#[tokio::test]
async fn a_line_that_has_begun_is_shown_before_its_newline_comes() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config { line_wait_ms: 10, ..Config::default() }).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    let request = begin(&logs, &function, 1);
    logs.assign(&instance.id, Some(&request));
    instance.print("progress 10%");
    let seen = async {
        while logs.tail(&request, 4096).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), seen).await.expect("it is shown");
    assert_eq!(logs.tail(&request, 4096), "progress 10%\n");
    instance.print(", done\n");
    logs.settle(&instance.id);
    assert_eq!(logs.tail(&request, 4096), "progress 10%\n, done\n");
    logs.shutdown().await;
}

#[tokio::test]
async fn a_line_without_its_newline_is_shown_when_the_instance_settles() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    let (first, second) = (begin(&logs, &function, 1), begin(&logs, &function, 2));
    logs.assign(&instance.id, Some(&first));
    instance.print("no newline");
    logs.settle(&instance.id);
    assert_eq!(logs.tail(&first, 4096), "no newline\n");
    logs.assign(&instance.id, Some(&second));
    instance.print("of the second\n");
    logs.settle(&instance.id);
    assert_eq!(log_of(&logs, &first).await, "no newline\n");
    assert_eq!(log_of(&logs, &second).await, "of the second\n");
    logs.shutdown().await;
}

#[tokio::test]
async fn a_line_in_pieces_is_whole_while_the_instance_is_at_work() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    let request = begin(&logs, &function, 1);
    logs.assign(&instance.id, Some(&request));
    instance.print("line 1\nli");
    logs.catch_up(&instance.id);
    assert_eq!(logs.tail(&request, 4096), "line 1\n");
    logs.assign(&instance.id, Some(&request));
    instance.print("ne 2\n");
    logs.settle(&instance.id);
    assert_eq!(log_of(&logs, &request).await, "line 1\nline 2\n");
    logs.shutdown().await;
}

#[tokio::test]
async fn the_last_output_of_an_instance_is_read_and_its_reader_ends() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    let request = begin(&logs, &function, 1);
    logs.assign(&instance.id, Some(&request));
    instance.print("Segmentation fault");
    drop(instance);
    // Ends only with the reader's task, so that the test also shows that the task does not outlive
    // the instance.
    let reading = logs.clone();
    logs.shutdown().await;
    assert_eq!(reading.tail(&request, 4096), "Segmentation fault\n");
    let logs = open(dir.path(), Config::default()).await;
    assert_eq!(log_of(&logs, &request).await, "Segmentation fault\n");
    logs.shutdown().await;
}

#[tokio::test]
async fn a_detached_instance_cannot_keep_its_reader_even_if_its_pipes_stay_open() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    let request = begin(&logs, &function, 1);
    logs.assign(&instance.id, Some(&request));
    instance.print("before\n");
    logs.detach(&instance.id);
    assert_eq!(logs.tail(&request, 4096), "before\n");
    let written = loop {
        tokio::task::yield_now().await;
        if let Err(error) = instance.stdout.write_all(b"after\n") {
            break error;
        }
    };
    assert_eq!(written.kind(), std::io::ErrorKind::BrokenPipe);
    logs.shutdown().await;
}

#[tokio::test]
async fn output_of_no_request_is_kept_with_the_instance() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    instance.print("between requests\n");
    instance.stderr.write_all(b"\xff\xfe not text\r\n").unwrap();
    logs.settle(&instance.id);
    let filter = Filter::all(Namespace::default_namespace());
    let lines = logs.lines(filter, None, 100).await.unwrap().lines;
    let seen: Vec<_> = lines.iter().map(|l| (l.stream, l.text.as_str(), l.request_id.is_none())).collect();
    assert_eq!(seen, [(Stream::Stdout, "between requests", true), (Stream::Stderr, "\u{fffd}\u{fffd} not text", true)]);
    assert!(lines.iter().all(|l| l.instance.as_ref() == Some(&instance.id)));
    logs.shutdown().await;
}

#[tokio::test]
async fn a_start_that_is_watched_has_its_lines_and_tail_but_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    let request = RequestId::random();
    logs.watch(Begin {
        request_id: request.clone(),
        function: function.clone(),
        version: VersionName::Latest,
        qualifier: Qualifier::LATEST,
        start_ms: 1,
        start_line: false,
        retry_num: 0,
    });
    logs.assign(&instance.id, Some(&request));
    instance.print("no module\n");
    logs.settle(&instance.id);
    assert_eq!(logs.tail(&request, 100), "no module\n");
    logs.forget(&request);
    let lines = logs.lines(Filter::all(Namespace::default_namespace()), None, 100).await.unwrap().lines;
    let seen: Vec<_> = lines.iter().map(|line| (line.text.as_str(), line.request_id.as_ref())).collect();
    assert_eq!((seen, all(&logs).await.total), (vec![("no module", Some(&request))], 0));
    assert_eq!(logs.tail(&request, 100), "");
    logs.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_neither_blocks_its_writer_nor_fills_the_log() {
    const LINES: u64 = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        instance_lines_burst: 1_000,
        instance_lines_per_s: 1_000,
        request_log_bytes_max: 1 << 30,
        ..Config::default()
    };
    let logs = open(dir.path(), config).await;
    let function = function("flood");
    let mut instance = Instance::attach(&logs, &function);
    let request = begin(&logs, &function, 1);
    logs.assign(&instance.id, Some(&request));
    let id = instance.id.clone();
    let flood = tokio::task::spawn_blocking(move || {
        for n in 0..LINES {
            instance.stdout.write_all(format!("line {n} of a flood that goes on\n").as_bytes()).unwrap();
        }
        instance
    });
    let instance = flood.await.unwrap();
    logs.settle(&id);
    end(&logs, &request, RunStatus::Success);
    let log = log_of(&logs, &request).await;
    let said: u64 = log
        .lines()
        .filter_map(|line| line.strip_prefix("[PLATFORM] ")?.split_once(" lines (")?.0.parse::<u64>().ok())
        .sum();
    let kept = log.lines().filter(|line| line.starts_with("line ")).count() as u64;
    assert!(log.contains("of output were dropped: the instance wrote more than 1000 lines"));
    assert_eq!(kept + said, LINES, "every line is either kept or said to be dropped");
    assert!(kept >= 1_000);
    drop(instance);
    logs.shutdown().await;
}

#[tokio::test]
async fn a_request_keeps_so_much_output_and_the_next_one_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config { request_log_bytes_max: 100, ..Config::default() }).await;
    let function = function("loud");
    let mut instance = Instance::attach(&logs, &function);
    for _ in 0..2 {
        let request = begin(&logs, &function, 1);
        logs.assign(&instance.id, Some(&request));
        for _ in 0..15 {
            instance.print("123456789\n");
        }
        logs.settle(&instance.id);
        logs.platform(&request, "END");
        let log = log_of(&logs, &request).await;
        assert_eq!(log.lines().filter(|l| *l == "123456789").count(), 11);
        assert!(log.ends_with(
            "[PLATFORM] 4 lines (36 bytes) of output were dropped: a request's log keeps 100 bytes of output\nEND\n"
        ));
    }
    logs.shutdown().await;
}

#[tokio::test]
async fn a_full_queue_drops_output_and_says_so_when_there_is_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { queue_bytes_max: 4_096, flush_ms: 60_000, ..Config::default() };
    let logs = open(dir.path(), config).await;
    let function = function("loud");
    let mut instance = Instance::attach(&logs, &function);
    let request = begin(&logs, &function, 1);
    logs.assign(&instance.id, Some(&request));
    instance.print(&"a line of thirty-two characters..\n".repeat(100));
    logs.settle(&instance.id);
    let before = log_of(&logs, &request).await;
    instance.print("room again\n");
    logs.settle(&instance.id);
    let after = log_of(&logs, &request).await;
    let kept = before.lines().count();
    assert!(kept < 100, "{kept}");
    let said = format!("[PLATFORM] {} lines ({} bytes) of output were dropped", 100 - kept, (100 - kept) * 33);
    assert!(
        after.strip_prefix(&before).is_some_and(|rest| rest.starts_with(&said) && rest.ends_with("room again\n")),
        "{after}"
    );
    logs.shutdown().await;
}

#[tokio::test]
async fn readers_take_part_of_the_lines_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let logs = open(dir.path(), Config::default()).await;
    let function = function("hello");
    let mut instance = Instance::attach(&logs, &function);
    let request = begin(&logs, &function, 1);
    logs.assign(&instance.id, Some(&request));
    instance.print("not settled\n");
    while logs.tail(&request, 100).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(logs.tail(&request, 100), "not settled\n");
    drop(instance);
    logs.shutdown().await;
}
