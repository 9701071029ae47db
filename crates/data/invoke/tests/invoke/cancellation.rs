//! Cancelled runs of events.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use invoke::{Asynchronous, Cancellation, Config, CutOff, EventCall, EventResult, RoutingKey, Source};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use types::{RequestId, RunStatus};

use crate::support::{Bench, EVENT, WEB, WIDE, target, until};

/// A wait for ends of instances that is shorter than the tests' polling.
fn config() -> Config {
    Config { exit_wait_ms_max: 1, ..Config::default() }
}

struct Run {
    id: RequestId,
    cancellation: Cancellation,
    task: JoinHandle<EventResult>,
}

impl Run {
    fn begin(bench: &Bench, payload: &'static str) -> Self {
        let (id, cancellation, invoker) = (RequestId::random(), Cancellation::default(), bench.invoker.clone());
        let resolved = invoker.resolve(&target(EVENT), &id, &RoutingKey::default()).expect("an event function");
        let call = EventCall {
            request_id: id.clone(),
            payload: payload.into(),
            source: Source::Api,
            asynchronous: Some(Asynchronous { cancellation: cancellation.clone(), ..Asynchronous::default() }),
        };
        Self { id, cancellation, task: tokio::spawn(async move { invoker.event(resolved, call).await }) }
    }

    /// One that hangs, once it hangs.
    async fn hanging(bench: &Bench) -> Self {
        let run = Self::begin(bench, r#"{"do":"hang","print":"on it\n"}"#);
        until("it hangs", || bench.logs.tail(&run.id, 4096).contains("on it")).await;
        run
    }

    async fn goes_on(&mut self) -> bool {
        timeout(Duration::from_millis(50), &mut self.task).await.is_err()
    }
}

#[tokio::test]
async fn a_canceled_run_ends_with_its_instance_and_its_output_is_read_whole() {
    let bench = Bench::new(config(), &[EVENT]).await;
    let mut run = Run::hanging(&bench).await;
    let server = bench.server(0);
    server.fate.lingers.store(true, Ordering::SeqCst);
    run.cancellation.kill();
    assert!(run.goes_on().await, "its instance has not ended yet");
    assert!(!server.fate.stopped.is_cancelled(), "it is killed without being asked");
    server.print("last words\n");
    server.fate.over.cancel();
    let result = run.task.await.expect("a result");
    assert_eq!(result.status, RunStatus::RequestCanceled);
    assert!(result.ret_msg.contains(r#""statusCode":499"#), "{}", result.ret_msg);
    let log = bench.log(&run.id).await;
    assert!(log.contains("last words\nERROR RequestId:"), "{log}");
}

#[tokio::test]
async fn a_run_whose_instance_is_asked_to_end_waits_for_it_and_can_be_killed_meanwhile() {
    let bench = Bench::new(config(), &[EVENT]).await;
    let mut run = Run::hanging(&bench).await;
    let fate = &bench.server(0).fate;
    fate.catches_stop.store(true, Ordering::SeqCst);
    run.cancellation.stop();
    until("its stop signal comes", || fate.stopped.is_cancelled()).await;
    assert!(run.goes_on().await, "it handles the signal");
    run.cancellation.kill();
    assert_eq!(run.task.await.expect("a result").status, RunStatus::RequestCanceled);
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
async fn what_a_canceled_run_responds_within_the_grace_does_not_count() {
    let bench = Bench::new(config(), &[EVENT]).await;
    let mut run = Run::begin(&bench, r#"{"do":"until stopped","print":"on it\n"}"#);
    until("it waits", || bench.logs.tail(&run.id, 4096).contains("on it")).await;
    let server = bench.server(0);
    server.fate.catches_stop.store(true, Ordering::SeqCst);
    run.cancellation.stop();
    until("its stop signal comes", || server.fate.stopped.is_cancelled()).await;
    assert!(run.goes_on().await, "it has responded, and runs");
    server.fate.over.cancel();
    assert_eq!(run.task.await.expect("a result").status, RunStatus::RequestCanceled);
}

#[tokio::test]
async fn a_run_that_is_canceled_before_it_has_an_instance_starts_none() {
    let bench = Bench::new(config(), &[EVENT]).await;
    let run = Run::begin(&bench, "{}");
    run.cancellation.kill();
    let result = run.task.await.expect("a result");
    assert_eq!((result.status, bench.started()), (RunStatus::RequestCanceled, 0));
}

/// A web request that is asynchronous.
fn web(path: &str) -> (Cancellation, Request<Empty<Bytes>>) {
    let mut request = Request::get(path).body(Empty::new()).expect("a request");
    let asynchronous = Asynchronous::default();
    request.extensions_mut().insert(asynchronous.clone());
    (asynchronous.cancellation, request)
}

#[tokio::test]
async fn a_web_request_that_streams_is_canceled_with_its_instance() {
    let bench = Bench::new(config(), &[WEB]).await;
    let (cancellation, request) = web("/endless");
    let mut body = bench.web(target(WEB), RequestId::random(), request).await.into_body();
    body.frame().await.expect("it streams").expect("data");
    let fate = &bench.server(0).fate;
    fate.lingers.store(true, Ordering::SeqCst);
    cancellation.kill();
    let error = loop {
        match body.frame().await.expect("an end") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let cut = error.downcast_ref::<CutOff>().expect("the platform cut it off");
    assert_eq!(cut.status, RunStatus::RequestCanceled);
    assert!(timeout(Duration::from_millis(50), cancellation.ended()).await.is_err(), "its instance goes on");
    fate.over.cancel();
    cancellation.ended().await;
}

#[tokio::test]
async fn other_requests_of_an_instance_outlive_a_canceled_one() {
    let bench = Bench::new(config(), &[WIDE]).await;
    let (cancellation, request) = web("/hang");
    let mut canceled = pin!(bench.web(target(WIDE), RequestId::random(), request));
    let mut other = bench.get(WIDE, "/endless").await.into_body();
    tokio::select! {
        _ = &mut canceled => panic!("it hangs"),
        () = until("both are in the instance", || bench.server(0).requests.load(Ordering::SeqCst) == 2) => {}
    }
    cancellation.kill();
    assert_eq!(canceled.await.status().as_u16(), 499);
    cancellation.ended().await;
    other.frame().await.expect("it goes on").expect("data");
    assert_eq!((bench.alive(), bench.started()), (1, 1));
}
