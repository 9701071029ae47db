//! Instances of job images: each for one request.

use std::sync::Arc;

use bytes::Bytes;

use super::*;

/// A version of a job image, in the catalog.
fn job(config: Config) -> (Bench, Arc<CatalogVersion>) {
    let bench = Bench::new(config);
    let mut of = Arc::into_inner(version(EVENT, 1)).expect("nobody else has it");
    of.spec.image.port = types::limits::JOB_PORT;
    let of = Arc::new(of);
    bench.serve(&[Arc::clone(&of)]);
    (bench, of)
}

async fn lease_job(bench: &Bench, version: &Arc<CatalogVersion>, event: &'static str) -> Lease<()> {
    let leased = bench.pool.lease_job(version, &RequestId::random(), &Bytes::from_static(event.as_bytes())).await;
    leased.expect("there is room")
}

#[tokio::test(start_paused = true)]
async fn each_job_has_an_instance_with_its_event_that_ends_with_its_lease() {
    let (bench, version) = job(Config::default());
    for (number, event) in ["1", "2", "3"].into_iter().enumerate() {
        let lease = lease_job(&bench, &version, event).await;
        assert!(lease.cold().is_some(), "started for this request");
        assert_eq!(bench.launch.begun(), number + 1, "none is started ahead of a request");
        assert_eq!(bench.launch.events(), ["1", "2", "3"][..=number], "each has its own event");
        drop(lease);
        until("its instance ends", || bench.launch.alive() == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_request_went_away_serves_no_other() {
    let (bench, version) = job(Config { memory_mb_max: 128, ..Config::default() });
    let gone = {
        let (pool, version) = (bench.pool.clone(), Arc::clone(&version));
        tokio::spawn(async move { pool.lease_job(&version, &RequestId::random(), &Bytes::from_static(b"1")).await })
    };
    until("its start has begun", || bench.launch.begun() == 1).await;
    let other = {
        let (pool, version) = (bench.pool.clone(), Arc::clone(&version));
        tokio::spawn(async move { pool.lease_job(&version, &RequestId::random(), &Bytes::from_static(b"2")).await })
    };
    tokio::task::yield_now().await;
    gone.abort();
    let lease = other.await.expect("no panic").expect("room comes free");
    assert_eq!(bench.launch.events(), ["1", "2"]);
    assert_eq!(bench.launch.alive(), 1, "the first one has ended");
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn jobs_wait_for_room_and_count_against_the_quota() {
    let (bench, version) = job(Config { memory_mb_max: 256, ..Config::default() });
    let (first, second) = (lease_job(&bench, &version, "1").await, lease_job(&bench, &version, "2").await);
    let third = {
        let (pool, version) = (bench.pool.clone(), Arc::clone(&version));
        tokio::spawn(async move { pool.lease_job(&version, &RequestId::random(), &Bytes::from_static(b"3")).await })
    };
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.launch.begun(), 2, "the quota is full");
    drop(first);
    let third = third.await.expect("no panic").expect("room came free");
    assert_eq!(bench.launch.events(), ["1", "2", "3"]);
    drop((second, third));
}
