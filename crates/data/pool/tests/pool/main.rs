//! The pool through its public handle, over fake instances and in paused time.

mod backoff;
mod checks;
mod idle;
mod jobs;
mod restarts;
mod sessions;
mod starts;
mod stopping;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pool::{Config, Lease, LeaseError, ProvisionedStatus};
use support::{Bench, EVENT, Function, OTHER, Plan, WEB, until, version};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use types::{CatalogVersion, RequestId, RunStatus};

type Answer = Result<Lease<()>, LeaseError>;

const START: Duration = Duration::from_millis(100);

fn request(bench: &Bench, version: &Arc<CatalogVersion>) -> JoinHandle<Answer> {
    let (pool, version) = (bench.pool.clone(), Arc::clone(version));
    tokio::spawn(async move { pool.lease(&version, &RequestId::random(), None).await })
}

async fn lease(bench: &Bench, version: &Arc<CatalogVersion>) -> Lease<()> {
    bench.pool.lease(version, &RequestId::random(), None).await.expect("a lease")
}

fn serving(config: Config, functions: &[Function]) -> (Bench, Vec<Arc<CatalogVersion>>) {
    let bench = Bench::new(config);
    let versions: Vec<_> = functions.iter().map(|function| version(*function, 1)).collect();
    bench.serve(&versions);
    (bench, versions)
}

fn waiting(bench: &Bench) -> u32 {
    bench.pool.usage().functions.iter().map(|function| function.waiting).sum()
}

#[tokio::test(start_paused = true)]
async fn a_warm_request_takes_the_idle_instance_and_is_not_cold() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    let first = lease(&bench, &versions[0]).await;
    assert_eq!(first.cold().map(|cold| cold.function), Some(START));
    let id = first.id.clone();
    drop(first);
    let second = lease(&bench, &versions[0]).await;
    assert_eq!((second.id.clone(), second.cold()), (id, None));
    assert_eq!(bench.launch.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_that_one_instance_can_serve_share_one_start() {
    let (bench, versions) = serving(Config::default(), &[WEB]);
    let requests: Vec<_> = (0..10).map(|_| request(&bench, &versions[0])).collect();
    let mut leases = Vec::new();
    for request in requests {
        leases.push(request.await.expect("no panic").expect("a lease"));
    }
    assert_eq!(bench.launch.begun(), 1);
    assert_eq!(leases.iter().filter(|lease| lease.cold().is_some()).count(), 1);
    let eleventh = lease(&bench, &versions[0]).await;
    assert_eq!(bench.launch.begun(), 2);
    assert_ne!(eleventh.id, leases[0].id);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_takes_a_freed_instance_and_its_own_start_goes_idle() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    let first = lease(&bench, &versions[0]).await;
    let id = first.id.clone();
    let second = request(&bench, &versions[0]);
    until("the second start begins", || bench.launch.begun() == 2).await;
    let before = Instant::now();
    drop(first);
    let second = second.await.expect("no panic").expect("a lease");
    assert_eq!((second.id.clone(), before.elapsed()), (id, Duration::ZERO));
    tokio::time::sleep(START * 2).await;
    let third = lease(&bench, &versions[0]).await;
    assert_eq!((bench.launch.begun(), third.cold()), (2, None));
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_lease_about_to_return_instead_of_starting_an_instance() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    let mut first = lease(&bench, &versions[0]).await;
    first.returning();
    let second = request(&bench, &versions[0]);
    until("it waits", || waiting(&bench) == 1).await;
    drop(first);
    second.await.expect("no panic").expect("a lease");
    assert_eq!(bench.launch.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn cold_start_failure_fails_all_waiting_requests() {
    let (bench, versions) = serving(Config::default(), &[WEB]);
    bench.launch.plan(Plan::Fail(START));
    let requests: Vec<_> = (0..5).map(|_| request(&bench, &versions[0])).collect();
    for request in requests {
        let error = request.await.expect("no panic").expect_err("the start failed");
        assert_eq!(error.status(), RunStatus::PortBindingFailed);
        assert!(error.to_string().contains("port 9000"), "{error}");
    }
    assert_eq!((bench.launch.begun(), bench.pool.usage().instances), (1, 0));
    bench.launch.plan(Plan::Succeed(START));
    tokio::time::sleep(Duration::from_secs(1)).await;
    lease(&bench, &versions[0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_launcher_that_panics_fails_the_request_instead_of_losing_it() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    bench.launch.plan(Plan::Panic);
    let error = bench.pool.lease(&versions[0], &RequestId::random(), None).await.expect_err("no instance");
    assert_eq!(error.status(), RunStatus::InternalError);
    assert_eq!(bench.pool.usage().instances, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_cancels_only_its_wait() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    let gone = request(&bench, &versions[0]);
    until("the start begins", || bench.launch.begun() == 1).await;
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(waiting(&bench), 0);
    tokio::time::sleep(START * 2).await;
    assert_eq!(bench.launch.given_up.load(Ordering::SeqCst), 0);
    let next = lease(&bench, &versions[0]).await;
    assert_eq!((bench.launch.begun(), next.cold()), (1, None));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_ended_while_idle_is_not_handed_out() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    drop(lease(&bench, &versions[0]).await);
    bench.launch.processes.lock()[0].over.cancel();
    until("it is gone", || bench.pool.usage().instances == 0).await;
    assert!(lease(&bench, &versions[0]).await.cold().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_recycled_instance_takes_no_more_requests_and_ends_with_its_last() {
    let (bench, versions) = serving(Config::default(), &[WEB]);
    let (first, second) = (lease(&bench, &versions[0]).await, lease(&bench, &versions[0]).await);
    assert_eq!(first.id, second.id);
    first.recycle();
    drop(first);
    assert_eq!(bench.launch.alive(), 1);
    let third = lease(&bench, &versions[0]).await;
    assert_ne!(third.id, second.id);
    drop(second);
    assert_eq!(bench.launch.alive(), 1);
    third.kill();
    assert_eq!(bench.launch.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_no_quota_would_let_run_is_refused_at_once() {
    let (bench, versions) = serving(Config { memory_mb_max: 100, ..Config::default() }, &[EVENT, OTHER]);
    let before = Instant::now();
    let error = bench.pool.lease(&versions[1], &RequestId::random(), None).await.expect_err("no room");
    assert_eq!((error.status(), before.elapsed()), (RunStatus::ResourceLimitReached, Duration::ZERO));
    let text = "Function [ default/other ] concurrency exceeded region unreserved quota 100 MB";
    assert!(error.to_string().starts_with(text), "{error}");
    assert_eq!(waiting(&bench), 0);
}

#[tokio::test(start_paused = true)]
async fn a_busy_function_makes_room_for_another_that_has_waited_for_longer_than_its_own_requests() {
    let (bench, versions) = serving(Config { memory_mb_max: 256, ..Config::default() }, &[EVENT, OTHER]);
    let (first, second) = (lease(&bench, &versions[0]).await, lease(&bench, &versions[0]).await);
    let other = request(&bench, &versions[1]);
    until("it waits", || waiting(&bench) == 1).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    let later: Vec<_> = (0..3).map(|_| request(&bench, &versions[0])).collect();
    until("all wait", || waiting(&bench) == 4).await;
    drop(first);
    let other = other.await.expect("no panic").expect("the room that was made");
    assert_eq!(bench.launch.alive(), 2);
    drop(other);
    drop(second);
    for request in later {
        drop(request.await.expect("no panic").expect("its turn"));
    }
}

#[tokio::test(start_paused = true)]
async fn room_that_nobody_makes_is_waited_for_only_so_long() {
    let config = Config { memory_mb_max: 200, wait_ms_max: 5000, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT, OTHER]);
    let _held = lease(&bench, &versions[0]).await;
    let before = Instant::now();
    let error = bench.pool.lease(&versions[1], &RequestId::random(), None).await.expect_err("no room");
    assert_eq!((error.status(), before.elapsed()), (RunStatus::ResourceLimitReached, Duration::from_secs(5)));
    let text = "Function [ default/other ] concurrency exceeded region unreserved quota 200 MB";
    assert!(error.to_string().starts_with(text), "{error}");
    assert_eq!(waiting(&bench), 0);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_instances_start_in_a_minute() {
    let config = Config { starts_per_minute_max: 2, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT, OTHER]);
    let held = (lease(&bench, &versions[0]).await, lease(&bench, &versions[0]).await);
    let error = bench.pool.lease(&versions[1], &RequestId::random(), None).await.expect_err("too many starts");
    assert_eq!(error.status(), RunStatus::ResourceLimit);
    assert!(error.to_string().contains("2 new instances a minute"), "{error}");
    tokio::time::sleep(Duration::from_secs(61)).await;
    let _other = lease(&bench, &versions[1]).await;
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn an_idle_instance_of_another_function_makes_room() {
    let (bench, versions) = serving(Config { memory_mb_max: 200, ..Config::default() }, &[EVENT, OTHER]);
    drop(lease(&bench, &versions[0]).await);
    let other = lease(&bench, &versions[1]).await;
    assert!(other.cold().is_some());
    assert_eq!((bench.launch.alive(), bench.pool.usage().memory_mb), (1, 128));
}

#[tokio::test(start_paused = true)]
async fn at_its_limit_a_function_waits_for_its_own_instances_but_not_for_ever() {
    let config = Config { instances_per_function_max: 1, wait_ms_max: 5000, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT]);
    let first = lease(&bench, &versions[0]).await;
    let (served, refused) = (request(&bench, &versions[0]), request(&bench, &versions[0]));
    until("both wait", || waiting(&bench) == 2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(first);
    let _held = served.await.expect("no panic").expect("the freed instance");
    let error = refused.await.expect("no panic").expect_err("none came free");
    assert_eq!(error.status(), RunStatus::ResourceLimitReached);
    assert!(error.to_string().contains("within 5000 ms"), "{error}");
    assert_eq!(bench.launch.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_start_as_long_as_it_takes() {
    let (bench, versions) = serving(Config { wait_ms_max: 100, ..Config::default() }, &[EVENT]);
    bench.launch.plan(Plan::Succeed(Duration::from_secs(60)));
    assert!(lease(&bench, &versions[0]).await.cold().is_some());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_requests_wait() {
    let (bench, versions) = serving(Config { waiting_per_function_max: 2, ..Config::default() }, &[EVENT]);
    let waiters = [request(&bench, &versions[0]), request(&bench, &versions[0])];
    until("two wait", || waiting(&bench) == 2).await;
    let error = bench.pool.lease(&versions[0], &RequestId::random(), None).await.expect_err("the queue is full");
    assert_eq!(error.status(), RunStatus::ResourceLimit);
    for waiter in waiters {
        waiter.await.expect("no panic").expect("a lease");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_starts_than_allowed_run_at_once() {
    let (bench, versions) = serving(Config { starts_parallel_max: 2, ..Config::default() }, &[EVENT]);
    let requests: Vec<_> = (0..7).map(|_| request(&bench, &versions[0])).collect();
    let mut leases = Vec::new();
    for request in requests {
        leases.push(request.await.expect("no panic").expect("a lease"));
    }
    assert_eq!((bench.launch.begun(), bench.launch.parallel_starts_seen.load(Ordering::SeqCst)), (7, 2));
}

#[tokio::test(start_paused = true)]
async fn an_update_drains_the_old_generation_and_sends_its_waiters_to_the_new_one() {
    let (bench, versions) = serving(Config { instances_per_function_max: 1, ..Config::default() }, &[EVENT]);
    let old = lease(&bench, &versions[0]).await;
    let waits = request(&bench, &versions[0]);
    until("it waits", || waiting(&bench) == 1).await;
    let new = version(EVENT, 2);
    bench.serve(&[Arc::clone(&new)]);
    let error = waits.await.expect("no panic").expect_err("the version was replaced");
    assert!(matches!(error, LeaseError::Superseded { .. }), "{error}");
    assert_eq!(bench.launch.alive(), 1, "the old instance still answers its request");
    // The new generation has no room until the old instance has ended; its requests wait for that.
    let next = request(&bench, &new);
    until("it waits", || waiting(&bench) == 1).await;
    drop(old);
    let next = next.await.expect("no panic").expect("a lease on the new generation");
    assert_eq!((next.version.key.generation, bench.launch.alive()), (2, 1));
    let late = bench.pool.lease(&versions[0], &RequestId::random(), None).await.expect_err("old");
    assert!(matches!(late, LeaseError::Superseded { .. }), "{late}");
}

#[tokio::test(start_paused = true)]
async fn starts_of_a_version_that_is_removed_are_given_up() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    let waits = request(&bench, &versions[0]);
    until("the start begins", || bench.launch.begun() == 1).await;
    bench.serve(&[]);
    assert!(waits.await.expect("no panic").is_err());
    until("the start is given up", || bench.pool.usage().instances == 0).await;
    assert_eq!((bench.launch.given_up.load(Ordering::SeqCst), bench.launch.alive()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_answers_those_who_wait_and_ends_every_instance_within_the_grace() {
    let (bench, versions) = serving(Config { instances_per_function_max: 2, ..Config::default() }, &[EVENT]);
    let (returns, hangs) = (lease(&bench, &versions[0]).await, lease(&bench, &versions[0]).await);
    let waits = request(&bench, &versions[0]);
    until("it waits", || waiting(&bench) == 1).await;
    let pool = bench.pool.clone();
    let before = Instant::now();
    let drain = tokio::spawn(async move { pool.drain(Duration::from_secs(10), Duration::ZERO).await });
    let error = waits.await.expect("no panic").expect_err("shutting down");
    assert!(matches!(error, LeaseError::Closed { .. }), "{error}");
    drop(returns);
    until("the first has ended", || bench.launch.alive() == 1).await;
    drain.await.expect("no panic");
    assert_eq!((bench.launch.alive(), before.elapsed()), (0, Duration::from_secs(10)));
    drop(hangs);
    assert!(matches!(request(&bench, &versions[0]).await.expect("no panic"), Err(LeaseError::Closed { .. })));
    assert_eq!(bench.pool.usage().instances, 0);
}

#[tokio::test(start_paused = true)]
async fn provisioned_instances_are_there_before_the_first_request_and_stay() {
    let (bench, versions) = serving(Config { keep_idle_s: 10, ..Config::default() }, &[EVENT]);
    bench.serve_ready(&versions, 2);
    until("both are being started", || bench.launch.begun() == 2).await;
    let state = || bench.pool.usage().provisioned.into_iter().next().expect("one version");
    assert_eq!((state().ready, state().status), (0, ProvisionedStatus::InProgress));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((state().ready, state().status), (2, ProvisionedStatus::Done));
    // A third is elastic: it is stopped after its idle time, and the two stay.
    let leases = (lease(&bench, &versions[0]).await, lease(&bench, &versions[0]).await);
    assert!(leases.0.cold().is_none() && leases.1.cold().is_none());
    let third = lease(&bench, &versions[0]).await;
    assert!(third.cold().is_some());
    drop((leases, third));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!((bench.launch.alive(), bench.launch.begun()), (2, 3));
    bench.serve(&versions);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.launch.alive(), 0, "they are not kept any more");
}

#[tokio::test(start_paused = true)]
async fn a_provisioned_instance_that_ended_is_replaced_and_failures_are_told_and_tried_again() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    bench.serve_ready(&versions, 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.launch.alive(), 1);
    bench.launch.plan(Plan::Fail(START));
    bench.launch.processes.lock()[0].over.cancel();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let state = bench.pool.usage().provisioned.into_iter().next().expect("one version");
    assert_eq!((state.ready, state.status), (0, ProvisionedStatus::Failed));
    assert!(state.reason.is_some());
    let tries = bench.launch.begun();
    assert!((4..10).contains(&tries), "pauses grow: {tries} starts in a minute");
    bench.launch.plan(Plan::Succeed(Duration::from_millis(100)));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!((bench.launch.alive(), bench.launch.begun()), (1, tries + 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_provisioned_counts_and_an_idle_instance_of_it_makes_no_room_for_others() {
    let config = Config { memory_mb_max: 256, wait_ms_max: 1000, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT, OTHER]);
    bench.serve_ready(&versions[..1], 3);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let state = bench.pool.usage().provisioned.into_iter().next().expect("one version");
    assert_eq!((state.ready, state.status), (2, ProvisionedStatus::Failed));
    assert!(state.reason.expect("told").contains("region unreserved quota 256 MB"));
    bench.serve_ready(&versions, 2);
    let error = bench.pool.lease(&versions[1], &RequestId::random(), None).await.expect_err("no room");
    assert_eq!((error.status(), bench.launch.alive()), (RunStatus::ResourceLimitReached, 2));
}
