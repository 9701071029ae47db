//! Event functions.

use std::sync::atomic::Ordering;

use invoke::{Config, EventCall, Protocol, RoutingKey, Source, Unresolved};
use serde_json::{Value, json};
use types::catalog::Lookup;
use types::{RequestId, RunStatus};

use crate::support::{Bench, EVENT, PEAK_BYTES, WEB, target, until};

fn failed(ret_msg: &str) -> (i64, String, u64) {
    let json: Value = serde_json::from_str(ret_msg).expect("the JSON of a failed run");
    (
        json["errorCode"].as_i64().expect("a number"),
        json["errorMessage"].as_str().expect("a text").to_owned(),
        json["statusCode"].as_u64().expect("a number"),
    )
}

#[tokio::test]
async fn an_event_is_posted_with_the_platform_headers_and_its_answer_comes_back_as_it_is() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let result = bench.event(r#"{"do":"headers"}"#).await;
    assert_eq!((result.status, result.error_message), (RunStatus::Success, None));
    let seen: Value = serde_json::from_str(&result.ret_msg).expect("JSON");
    assert_eq!(seen["method"], "POST");
    let headers = &seen["headers"];
    let table = [
        ("content-type", "application/json"),
        ("content-length", "16"),
        ("host", "localhost"),
        ("x-scf-request-id", result.request_id.as_str()),
        ("x-scf-memory", "128"),
        ("x-scf-timeout", "3"),
        ("x-scf-version", "$LATEST"),
        ("x-scf-name", "event"),
        ("x-scf-namespace", "default"),
        ("x-scf-region", "local"),
        ("x-scf-appid", "100"),
        ("x-scf-uin", "200"),
    ];
    for (name, value) in table {
        assert_eq!(headers[name], value, "{name}");
    }
    assert_eq!(headers["x-scf-trigger-src"], Value::Null);
    let timer = bench.event_from(Source::Timer, r#"{"do":"headers"}"#).await;
    let seen: Value = serde_json::from_str(&timer.ret_msg).expect("JSON");
    assert_eq!(seen["headers"]["x-scf-trigger-src"], "Timer");
}

#[tokio::test]
async fn events_in_a_row_reuse_the_instance_and_its_connection() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let first = bench.event("{}").await;
    assert!(first.cold.is_some());
    for n in 0..20 {
        let payload = json!({ "n": n }).to_string();
        let result = bench.event(payload.clone()).await;
        assert_eq!((result.ret_msg, result.cold), (payload, None));
        assert!(result.bill_duration_ms >= 1);
        assert_eq!(result.memory_bytes, PEAK_BYTES);
    }
    assert_eq!((bench.started(), bench.connections()), (1, 1));
}

#[tokio::test]
async fn an_answer_in_pieces_is_put_together() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let result = bench.event(r#"{"do":"chunks"}"#).await;
    assert_eq!(result.ret_msg, "chunk 0;chunk 1;chunk 2;chunk 3;chunk 4;");
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    bench.event("1").await;
    bench.server(0).close_connections().await;
    let result = bench.event("2").await;
    assert_eq!((result.status, result.ret_msg.as_str()), (RunStatus::Success, "2"));
    assert_eq!((bench.started(), bench.connections()), (1, 2));
}

#[tokio::test]
async fn an_event_that_reached_the_function_is_never_sent_again() {
    let bench = Bench::new(Config { exit_wait_ms_max: 50, ..Config::default() }, &[EVENT]).await;
    bench.event("1").await;
    bench.server(0).drops_left.store(1, Ordering::SeqCst);
    let result = bench.event("2").await;
    assert_eq!(result.status, RunStatus::UserCodeException);
    assert!(failed(&result.ret_msg).1.contains("broke off the connection"), "{}", result.ret_msg);
    assert_eq!(bench.server(0).requests.load(Ordering::SeqCst), 2, "each event once");
    assert_eq!(bench.event("3").await.status, RunStatus::Success);
    assert_eq!((bench.started(), bench.alive()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_over_its_time_limit_ends_with_433_and_its_instance_with_it() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let result = bench.event(r#"{"do":"hang","print":"about to hang\n"}"#).await;
    assert_eq!(result.status, RunStatus::TimeLimitReached);
    let text = "Invoking task timed out after 3 seconds".to_owned();
    assert_eq!(failed(&result.ret_msg), (-1, text.clone(), 433));
    assert_eq!(result.error_message, Some(text));
    assert_eq!((result.duration.as_secs(), bench.alive()), (3, 0));
    assert!(bench.logs.tail(&result.request_id, 4096).contains("about to hang"));
    assert!(bench.event("{}").await.cold.is_some());
}

#[tokio::test]
async fn an_instance_that_ends_during_a_run_ends_it_with_439_or_434() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let exited = bench.event(r#"{"do":"exit"}"#).await;
    assert_eq!(exited.status, RunStatus::UserProcessExited);
    assert!(failed(&exited.ret_msg).1.contains("exit code 3"), "{}", exited.ret_msg);
    let killed = bench.event(r#"{"do":"oom"}"#).await;
    assert_eq!(killed.status, RunStatus::MemoryLimitReached);
    assert!(failed(&killed.ret_msg).1.contains("128 MB"), "{}", killed.ret_msg);
    assert_eq!(bench.event("{}").await.status, RunStatus::Success);
    assert_eq!(bench.started(), 3);
}

#[tokio::test]
async fn an_instance_that_went_over_its_memory_fails_with_434_however_long_it_takes_to_end() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    bench.event("{}").await;
    let server = bench.server(0);
    server.fate.lingers.store(true, Ordering::SeqCst);
    *server.fate.out_of_memory.lock() = true;
    // The kept connection, and the new one that replaces it.
    server.drops_left.store(2, Ordering::SeqCst);
    let result = bench.event("{}").await;
    assert_eq!(result.status, RunStatus::MemoryLimitReached, "{}", result.ret_msg);
    server.fate.over.cancel();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_went_over_its_memory_and_then_its_time_fails_with_434() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    bench.event("{}").await;
    *bench.server(0).fate.out_of_memory.lock() = true;
    let result = bench.event(r#"{"do":"hang"}"#).await;
    assert_eq!(result.status, RunStatus::MemoryLimitReached, "{}", result.ret_msg);
    assert_eq!(bench.alive(), 0, "what is left of it is ended");
}

#[tokio::test]
async fn an_error_answer_of_the_code_is_a_failed_run() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let result = bench.event(r#"{"do":"status","code":500,"text":"Traceback: boom"}"#).await;
    assert_eq!(result.status, RunStatus::UserCodeException);
    assert_eq!(failed(&result.ret_msg), (-1, "Traceback: boom".to_owned(), 430));
    assert_eq!(bench.alive(), 1);
}

#[tokio::test]
async fn bodies_over_the_limits_are_refused() {
    let config = Config { event_bytes_max: 100, event_response_bytes_max: 1000, ..Config::default() };
    let bench = Bench::new(config, &[EVENT]).await;
    let long = bench.event(json!("x".repeat(100)).to_string()).await;
    assert_eq!((long.status, bench.started()), (RunStatus::RequestTooLarge, 0));
    let broken = bench.event("{\"a\":").await;
    assert_eq!((broken.status, bench.started()), (RunStatus::InvalidEvent, 0));
    assert!(failed(&broken.ret_msg).1.starts_with("the event is not JSON"));
    assert_eq!(bench.event(r#"{"do":"big","bytes":1000}"#).await.ret_msg.len(), 1000);
    let answer = bench.event(r#"{"do":"big","bytes":1001}"#).await;
    assert_eq!(answer.status, RunStatus::ResponseTooLarge);
}

#[tokio::test]
async fn a_failed_start_gives_its_status_and_shows_in_the_log() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    *bench.launch.failing.lock() = Some((RunStatus::PortBindingFailed, "port 9000 not open within 90 s"));
    let result = bench.event("{}").await;
    let whole = "port 9000 not open within 90 s. Its last output:\nsecret".to_owned();
    assert_eq!(failed(&result.ret_msg), (-1, whole, 446));
    let public = result.public_ret_msg.as_deref().expect("it failed");
    assert_eq!(failed(public), (-1, "port 9000 not open within 90 s".to_owned(), 446));
    assert_eq!((result.bill_duration_ms, result.memory_bytes), (0, 1 << 20));
    let log = bench.log(&result.request_id).await;
    assert!(log.contains("Coldstart: 236ms"), "{log}");
    assert!(log.contains("ERROR RequestId:") && log.contains("secret"), "{log}");

    // Nothing is started during the back-off; there is no cold start to report.
    let again = bench.event("{}").await;
    let (_, message, status) = failed(&again.ret_msg);
    assert!(status == 446 && message.contains("the next is tried in") && message.ends_with("secret"), "{message}");
    assert!(!bench.log(&again.request_id).await.contains("Coldstart"));
}

#[tokio::test]
async fn the_log_of_a_run_has_the_lines_of_the_contract_in_their_order() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    let result = bench.event(r#"{"print":"working\n"}"#).await;
    // Complete when the response is there, so that `LogType=Tail` shows all of it.
    let log = bench.logs.tail(&result.request_id, 4096);
    let wanted = [
        "START RequestId:",
        "warming up",
        "Init Report RequestId: ",
        "working",
        "Response RequestId:",
        "END RequestId:",
        "Report RequestId:",
    ];
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), wanted.len(), "{log}");
    for (line, wanted) in lines.iter().zip(wanted) {
        assert!(line.starts_with(wanted), "{line} instead of {wanted}");
    }
    assert!(lines[2].ends_with(
        "Coldstart: 236ms (PullCode: 70ms InitRuntime: 8ms InitFunction: 158ms) Memory: 128MB MemUsage: 29.73MB"
    ));
    assert!(lines[4].ends_with(r#"RetMsg:{"print":"working\n"}"#), "{log}");
    assert!(lines[6].ends_with("Memory:128MB MemUsage:29.734375MB"), "{log}");
}

#[tokio::test]
async fn a_run_goes_on_when_its_caller_goes_away() {
    let bench = Bench::new(Config::default(), &[EVENT]).await;
    bench.event("1").await;
    let id = RequestId::random();
    let call = EventCall { request_id: id.clone(), payload: "2".into(), source: Source::Api, asynchronous: None };
    let invoker = bench.invoker.clone();
    let resolved = invoker.resolve(&target(EVENT), &id, &RoutingKey::default()).expect("an event function is there");
    let caller = tokio::spawn(async move { invoker.event(resolved, call).await });
    until("the run begins", || bench.logs.tail(&id, 4096).contains("START")).await;
    caller.abort();
    let log = bench.log(&id).await;
    assert!(log.contains("RetMsg:2"), "{log}");
}

#[tokio::test]
async fn calls_of_what_is_not_there_fail_by_their_own_codes() {
    let bench = Bench::new(Config::default(), &[WEB]).await;
    let call =
        || EventCall { request_id: RequestId::random(), payload: "{}".into(), source: Source::Api, asynchronous: None };
    let mut missing = target(WEB);
    missing.qualifier = "7".parse().expect("a qualifier");
    let of =
        |lookup: Lookup| Unresolved { cause: lookup, protocol: Protocol::Event }.into_response(&RequestId::random());
    let none = of(bench.call(target(EVENT), call()).await.expect_err("no such function"));
    assert_eq!((none.status().as_u16(), &none.headers()["x-scf-status"]), (404, &"435".parse().expect("valid")));
    let none = of(bench.call(missing, call()).await.expect_err("no such version"));
    assert_eq!((none.status().as_u16(), &none.headers()["x-scf-status"]), (404, &"442".parse().expect("valid")));
    let web = bench.call(target(WEB), call()).await.expect("the function is there");
    assert_eq!(web.status, RunStatus::InvalidParameterValue);
    assert!(failed(&web.ret_msg).1.contains("call its URL"));
}
