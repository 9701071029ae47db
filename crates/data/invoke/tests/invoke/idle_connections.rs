//! Connections to instances: how they are opened, how long they are kept between requests, and when
//! they are closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connections::Workers;
use invoke::Config;
use tokio::runtime::Handle;
use types::RunStatus;

use crate::support::{Bench, EVENT, Function, WEB, WIDE, text, until};

/// Longer than any test.
const FOR_EVER_MS: u64 = 3_600_000;

#[tokio::test]
async fn a_connection_that_is_not_used_is_closed() {
    let bench = Bench::new(Config { kept_connection_ms_max: 50, ..Config::default() }, &[WEB]).await;
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    until("its connection is closed", || bench.server(0).open() == 0).await;
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    assert_eq!((bench.started(), bench.connections()), (1, 2));
}

#[tokio::test]
async fn no_connection_is_believed_after_a_suspension() {
    let bench = Bench::new(Config { kept_connection_ms_max: FOR_EVER_MS, ..Config::default() }, &[EVENT]).await;
    for times in 1..3 {
        assert_eq!(bench.event("1").await.status, RunStatus::Success);
        assert_eq!((bench.started(), bench.connections()), (1, times));
        until("the instance is frozen", || bench.server(0).freezes.load(Ordering::SeqCst) == times).await;
    }
}

#[tokio::test]
async fn no_connection_is_kept_when_none_is_to_be() {
    let bench = Bench::new(Config { kept_connection_ms_max: 0, ..Config::default() }, &[WEB]).await;
    for _ in 0..3 {
        assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    }
    assert_eq!((bench.started(), bench.connections()), (1, 3));
}

#[tokio::test]
async fn idle_connections_are_used_for_half_the_time_that_the_server_keeps_them() {
    const KEPT: Duration = Duration::from_millis(600);
    let bench = Bench::new(Config { kept_connection_ms_max: FOR_EVER_MS, ..Config::default() }, &[WEB]).await;
    for connections in [1, 2] {
        assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
        assert_eq!(bench.connections(), connections);
        tokio::time::sleep(KEPT).await;
        bench.server(0).close_connections().await;
    }
    // Found closed after 0.6 s: from then on those that are younger than 0.3 s are used.
    for connections in [3, 3] {
        assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
        assert_eq!(bench.connections(), connections);
    }
    tokio::time::sleep(KEPT).await;
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    assert_eq!((bench.started(), bench.connections()), (1, 4), "one that is open still is not believed");
}

#[tokio::test]
async fn a_connection_whose_server_announces_its_end_is_not_kept() {
    let bench = Bench::new(Config { kept_connection_ms_max: FOR_EVER_MS, ..Config::default() }, &[WEB]).await;
    for (times, seconds, connections) in [(2, 5, 1), (2, 0, 2), (1, 5, 3)] {
        for _ in 0..times {
            assert_eq!(text(bench.get(WEB, &format!("/keep-alive?{seconds}")).await).await, "kept");
        }
        assert_eq!(bench.connections(), connections, "{seconds}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_queue_is_full_is_asked_again_and_not_replaced() {
    let bench = Bench::new(Config { kept_connection_ms_max: 0, ..Config::default() }, &[EVENT]).await;
    assert_eq!(bench.event("1").await.status, RunStatus::Success);
    bench.server(0).attempts_lost.store(8, Ordering::SeqCst);
    assert_eq!(bench.event("2").await.status, RunStatus::Success);
    assert_eq!((bench.started(), bench.connections()), (1, 2));
    bench.server(0).attempts_lost.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(bench.event("3").await.status, RunStatus::TimeLimitReached, "by the function's own time");
}

/// The response to a request that is served by a worker.
async fn get_on(runtime: &Handle, bench: &Arc<Bench>, function: Function) -> String {
    let bench = Arc::clone(bench);
    runtime.spawn(async move { text(bench.get(function, "/").await).await }).await.expect("the worker runs")
}

#[tokio::test]
async fn a_worker_leaves_others_their_connections_while_it_may_open_its_own() {
    let bench = Bench::new(Config { kept_connection_ms_max: FOR_EVER_MS, ..Config::default() }, &[WEB, WIDE]).await;
    let (bench, workers) = (Arc::new(bench), Workers::start(2).expect("two threads"));
    let mut before = 0;
    for (function, opened) in [(WEB, 1), (WIDE, 2)] {
        for runtime in workers.runtimes().chain(workers.runtimes()).chain(workers.runtimes()) {
            assert_eq!(get_on(runtime, &bench, function).await, "hello");
        }
        assert_eq!(bench.connections() - before, opened, "{}", function.name);
        before = bench.connections();
    }
    assert_eq!(bench.started(), 2);
}

#[tokio::test]
async fn what_a_worker_started_outlives_it() {
    let bench = Bench::new(Config { kept_connection_ms_max: FOR_EVER_MS, ..Config::default() }, &[WEB]).await;
    let (bench, workers) = (Arc::new(bench), Workers::start(1).expect("a thread"));
    let runtime = workers.runtimes().next().expect("there is one").clone();
    assert_eq!(get_on(&runtime, &bench, WEB).await, "hello");
    drop(workers);
    // A runtime that has ended cancels tasks spawned on it.
    while runtime.spawn(async {}).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    assert_eq!((bench.started(), bench.connections()), (1, 1));
}
