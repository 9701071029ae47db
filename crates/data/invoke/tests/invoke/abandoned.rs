//! Requests whose callers disconnect while a server works on them that does not watch its
//! connections, such as Apache's with PHP.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use invoke::Config;

use crate::server::Server;
use crate::support::{Bench, Function, WEB, WIDE, text, until};

/// A function with one instance, whose server works on when its callers disconnect.
async fn bench_of(function: Function) -> (Bench, Arc<Server>) {
    let bench = Bench::new(Config { kept_connection_ms_max: 0, ..Config::default() }, &[function]).await;
    assert_eq!(text(bench.get(function, "/").await).await, "hello");
    let server = bench.server(0);
    server.ignores_disconnects.store(true, Ordering::SeqCst);
    (bench, server)
}

async fn until_frozen(server: &Server) {
    until("the instance is frozen", || server.freezes.load(Ordering::SeqCst) > 0).await;
}

#[tokio::test]
async fn an_instance_that_works_on_is_not_frozen_and_gets_no_other_request() {
    let (bench, server) = bench_of(WEB).await;
    let id = bench.abandon(WEB, "/until-stopped").await;
    assert!(bench.log(&id).await.contains("\"statusCode\":499"));
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    assert_eq!(bench.started(), 2, "the first one is at work");
    until_frozen(&bench.server(1)).await;
    assert_eq!(server.freezes.load(Ordering::SeqCst), 0);
    server.fate.stopped.cancel();
    until_frozen(&server).await;
}

#[tokio::test]
async fn an_instance_that_hangs_with_an_abandoned_request_is_killed_at_its_time_limit() {
    let (bench, server) = bench_of(WEB).await;
    bench.abandon(WEB, "/hang").await;
    until("it is killed", || server.fate.over.is_cancelled()).await;
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
}

#[tokio::test]
async fn an_instance_of_several_requests_stays_when_an_abandoned_one_hangs() {
    let (bench, server) = bench_of(WIDE).await;
    bench.abandon(WIDE, "/hang").await;
    assert_eq!(text(bench.get(WIDE, "/").await).await, "hello");
    until_frozen(&server).await;
    assert_eq!((bench.started(), bench.alive()), (1, 1));
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_abandoned_requests() {
    let (bench, _) = bench_of(WEB).await;
    bench.abandon(WEB, "/hang").await;
    // Longer than any test.
    bench.invoker.drain(Duration::from_secs(3600), Duration::ZERO).await;
    assert_eq!(bench.alive(), 0);
}
