//! Updates, restarts within an instance, and shutdown, seen by requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use invoke::Config;
use types::{RequestId, RunStatus};

use crate::support::{Bench, EVENT, Function, WEB, WIDE, text, until};

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_during_updates_under_load() {
    let bench = Arc::new(Bench::new(Config::default(), &[WIDE]).await);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (bench, stop) = (Arc::clone(&bench), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut answered = 0;
                while !stop.load(Ordering::SeqCst) {
                    let response = bench.get(WIDE, "/").await;
                    assert_eq!(response.status().as_u16(), 200, "{}", text(response).await);
                    assert_eq!(text(response).await, "hello");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for generation in 2..12 {
        let newest = bench.started();
        // The image of the replaced generation is removed at once, as if it had been collected.
        *bench.launch.startable_generation.lock() = Some(generation);
        bench.serve(&[Function { generation, ..WIDE }]);
        until("the new generation serves", || bench.started() > newest).await;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.expect("no failed request") > 0);
    }
    // The remaining ones are of the last generation, at most one instance for each client.
    until("the old generations have ended", || bench.alive() <= 8).await;
}

#[tokio::test]
async fn a_request_on_the_old_generation_is_answered_by_it() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let old = bench.get(WEB, "/slow-chunks").await;
    bench.serve(&[Function { generation: 2, ..WEB }]);
    assert_eq!(text(bench.get(WEB, "/").await).await, "hello");
    assert_eq!(bench.started(), 2);
    assert_eq!(text(old).await, "chunk 0;chunk 1;chunk 2;");
    until("the old instance ends", || bench.alive() == 1).await;
}

#[tokio::test]
async fn a_server_that_stopped_listening_is_replaced_without_a_failed_request() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    bench.event("1").await;
    // It ends between two requests; the pool may or may not have noticed by the next one.
    bench.server(0).fate.over.cancel();
    let result = bench.event("2").await;
    assert_eq!((result.status, result.ret_msg.as_str()), (RunStatus::Success, "2"));
    assert_eq!(bench.started(), 2);
}

#[tokio::test]
async fn a_shutdown_lets_requests_end_and_then_ends_everything() {
    let bench = Bench::new(Config::default(), &[WEB, WIDE]).await;
    let ends = bench.get(WEB, "/slow-chunks").await;
    let id = RequestId::random();
    let hangs = bench.get_as(id.clone(), WIDE, "/endless").await;
    let invoker = bench.invoker.clone();
    let drain = tokio::spawn(async move { invoker.drain(Duration::from_millis(1500), Duration::ZERO).await });
    assert_eq!(text(ends).await, "chunk 0;chunk 1;chunk 2;");
    assert!(hangs.into_body().collect().await.is_err());
    drain.await.expect("no panic");
    assert_eq!((bench.alive(), bench.invoker.usage().instances), (0, 0));
    assert_eq!(bench.get(WEB, "/").await.status().as_u16(), 500);
    assert!(bench.log(&id).await.contains("\"statusCode\":439"));
}
