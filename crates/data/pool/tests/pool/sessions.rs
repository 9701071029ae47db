//! Sessions through the pool's public handle, over fake instances and in paused time.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Bench, Function, WEB, until, version};
use pool::{Config, Lease, LeaseError, SessionKey};
use tokio::task::JoinHandle;
use types::{CatalogVersion, RequestId};

/// Two sessions per instance, ten requests.
const CHAT: Function = Function { sessions: Some(2), ..WEB };

fn serving(config: Config, function: Function) -> (Bench, Arc<CatalogVersion>) {
    let bench = Bench::new(config);
    let version = version(function, 1);
    bench.serve(std::slice::from_ref(&version));
    (bench, version)
}

fn request(bench: &Bench, version: &Arc<CatalogVersion>, key: &str) -> JoinHandle<Result<Lease<()>, LeaseError>> {
    let (pool, version) = (bench.pool.clone(), Arc::clone(version));
    let key = SessionKey::new(key).expect("a key");
    tokio::spawn(async move { pool.lease(&version, &RequestId::random(), Some(&key)).await })
}

async fn lease(bench: &Bench, version: &Arc<CatalogVersion>, key: &str) -> Lease<()> {
    request(bench, version, key).await.expect("no panic").expect("a lease")
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_session_share_its_instance_and_others_have_theirs() {
    let (bench, version) = serving(Config::default(), CHAT);
    let first: Vec<_> = (0..5).map(|_| request(&bench, &version, "a")).collect();
    let mut leases = Vec::new();
    for request in first {
        leases.push(request.await.expect("no panic").expect("a lease"));
    }
    assert_eq!(bench.launch.begun(), 1);
    assert_eq!(leases.iter().filter(|lease| lease.cold().is_some()).count(), 1);
    let (b, c) = (lease(&bench, &version, "b").await, lease(&bench, &version, "c").await);
    assert_eq!((&b.id, bench.launch.begun()), (&leases[0].id, 2), "two sessions fit in an instance");
    assert_ne!(c.id, b.id);
    let (a_id, c_id) = (leases[0].id.clone(), c.id.clone());
    drop((leases, b, c));
    assert_eq!(lease(&bench, &version, "c").await.id, c_id);
    assert_eq!(lease(&bench, &version, "a").await.id, a_id);
    assert_eq!(bench.launch.begun(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_silent_for_too_long_gives_its_place_to_another() {
    let (bench, version) = serving(Config::default(), Function { sessions: Some(1), ..CHAT });
    let first = lease(&bench, &version, "a").await.id.clone();
    tokio::time::sleep(Duration::from_secs(25)).await;
    drop(lease(&bench, &version, "a").await);
    tokio::time::sleep(Duration::from_secs(35)).await;
    assert_eq!(lease(&bench, &version, "b").await.id, first, "nobody has it any more");
    assert_ne!(lease(&bench, &version, "a").await.id, first);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_instance_died_gets_another() {
    let (bench, version) = serving(Config::default(), CHAT);
    let first = lease(&bench, &version, "a").await.id.clone();
    bench.launch.processes.lock()[0].over.cancel();
    until("the instance is gone", || bench.pool.usage().instances == 0 || bench.launch.alive() == 0).await;
    let (pool, v) = (bench.pool.clone(), Arc::clone(&version));
    let key = SessionKey::new("a").expect("a key");
    tokio::task::yield_now().await;
    let second = pool.lease(&v, &RequestId::random(), Some(&key)).await.expect("a lease").id.clone();
    assert_ne!(second, first);
    assert_eq!(lease(&bench, &version, "a").await.id, second);
}

#[tokio::test(start_paused = true)]
async fn an_instance_takes_no_more_requests_than_it_may_and_the_rest_wait() {
    let (bench, version) = serving(Config::default(), Function { concurrency: 2, ..CHAT });
    let (one, two) = (lease(&bench, &version, "a").await, lease(&bench, &version, "b").await);
    assert_eq!(one.id, two.id);
    let third = request(&bench, &version, "a");
    until("it waits", || bench.pool.usage().functions.iter().any(|function| function.waiting == 1)).await;
    drop(two);
    assert_eq!(third.await.expect("no panic").expect("a lease").id, one.id);
    assert_eq!(bench.launch.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_sessions_are_silent_is_frozen_and_goes_on_with_the_next_request() {
    let (bench, version) = serving(Config { freeze_after_ms: 1000, ..Config::default() }, CHAT);
    let busy = lease(&bench, &version, "a").await;
    drop(lease(&bench, &version, "b").await);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.launch.frozen(), 0, "one of its sessions has a request");
    drop(busy);
    tokio::time::sleep(Duration::from_secs(3)).await;
    until("it is frozen", || bench.launch.frozen() == 1).await;
    let next = lease(&bench, &version, "b").await;
    assert_eq!((bench.launch.frozen(), bench.launch.begun()), (0, 1));
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn an_update_ends_sessions_when_their_requests_are_answered() {
    let (bench, old) = serving(Config::default(), CHAT);
    let answering = lease(&bench, &old, "a").await;
    drop(lease(&bench, &old, "b").await);
    bench.serve(&[version(CHAT, 2)]);
    let error = request(&bench, &old, "b").await.expect("no panic").expect_err("it was replaced");
    assert!(matches!(error, LeaseError::Superseded { .. }), "{error}");
    assert_eq!(bench.launch.alive(), 1, "a request is in it");
    drop(answering);
    until("the instance ends", || bench.launch.alive() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_key_is_served_and_leaves_no_session_behind() {
    let (bench, version) = serving(Config { keep_idle_s: 5, ..Config::default() }, CHAT);
    drop(bench.pool.lease(&version, &RequestId::random(), None).await.expect("a lease"));
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(bench.launch.alive(), 0);
}
