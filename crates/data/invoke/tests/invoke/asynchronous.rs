//! Properties of asynchronous events.

use std::time::Duration;

use invoke::{Config, EventResult};
use logs::Query;
use types::{Namespace, RunStatus};

use crate::support::{Bench, EVENT};

async fn records(bench: &Bench, result: &EventResult) -> Vec<logs::Invocation> {
    let query = Query { request_id: Some(result.request_id.clone()), ..Query::latest(Namespace::default_namespace()) };
    bench.logs.invocations(query).await.expect("logs").invocations
}

#[tokio::test]
async fn an_event_for_which_there_is_no_room_leaves_no_record() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    bench.serve_with(&[EVENT], Some(0));
    // The pool follows the catalog a little later.
    let mut tries = 0;
    let refused = loop {
        let result = bench.asynchronous("{}", 0).await;
        if result.status == RunStatus::ResourceLimitReached {
            break result;
        }
        tries += 1;
        assert!(tries < 1000, "{}", result.ret_msg);
    };
    assert_eq!(records(&bench, &refused).await, []);
    assert_eq!(bench.logs.tail(&refused.request_id, 4096), "");
    let waits = bench.event("{}").await;
    assert_eq!(waits.status, RunStatus::ResourceLimitReached);
    assert_eq!(records(&bench, &waits).await.len(), 1, "a call that waits was a try");
}

#[tokio::test]
async fn a_retry_has_its_number_in_the_record_and_its_log() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    for (retry_num, cold) in [(2, true), (1, false), (0, false)] {
        let result = bench.asynchronous("{}", retry_num).await;
        let log = bench.log(&result.request_id).await;
        let record = &records(&bench, &result).await[0];
        assert_eq!(record.retry_num, retry_num);
        let line = format!("START RequestId:{}\n[PLATFORM] RetryNum: {retry_num}\n", result.request_id);
        assert_eq!(log.contains(&line), retry_num > 0, "{log}");
        assert_eq!(log.contains("warming up"), cold, "the start's output is the event's: {log}");
        assert_eq!(record.log, log);
    }
}

#[tokio::test]
async fn an_event_function_learns_the_depth_of_its_chain() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let asynchronous = bench.asynchronous(r#"{"do":"headers"}"#, 0).await.ret_msg;
    assert!(asynchronous.contains(r#""x-scf-chain-depth":"0""#), "{asynchronous}");
    let waits = bench.event(r#"{"do":"headers"}"#).await.ret_msg;
    assert!(!waits.contains("x-scf-chain-depth"), "{waits}");
}

#[tokio::test]
async fn a_pause_that_the_function_asks_for_is_in_the_result() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let busy = bench.asynchronous(r#"{"do":"status","code":429,"retry_after":"30"}"#, 0).await;
    assert_eq!((busy.status, busy.retry_after), (RunStatus::UserCodeException, Some(Duration::from_secs(30))));
    let failed = bench.asynchronous(r#"{"do":"status","code":500}"#, 0).await;
    assert_eq!(failed.retry_after, None);
}
