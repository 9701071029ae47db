//! Versions whose starts fail.

use super::*;

async fn refused(bench: &Bench, version: &Arc<CatalogVersion>) -> LeaseError {
    bench.pool.lease(version, &RequestId::random(), None).await.expect_err("no instance starts")
}

#[tokio::test(start_paused = true)]
async fn calls_fail_at_once_as_the_last_start_did_and_starts_are_tried_at_growing_pauses() {
    let (bench, versions) = serving(Config::default(), &[EVENT, OTHER]);
    bench.launch.plan(Plan::Fail(START));
    let error = refused(&bench, &versions[0]).await;
    assert!(matches!(error, LeaseError::Launch(_)), "{error}");
    let begin = Instant::now();
    for _ in 0..100 {
        let error = refused(&bench, &versions[0]).await;
        assert!(matches!(error, LeaseError::BackedOff(_)), "{error}");
        assert_eq!(error.status(), RunStatus::PortBindingFailed);
        assert!(
            error.to_string().contains("port 9000 not open within 90 s (this start failed; the next is"),
            "{error}"
        );
    }
    assert_eq!((begin.elapsed(), bench.launch.begun(), waiting(&bench)), (Duration::ZERO, 1, 0));
    assert!(matches!(refused(&bench, &versions[1]).await, LeaseError::Launch(_)), "another version tries its own");
    // Called all the time, it is started after 1, 2, 4, 8, 16 and 32 s.
    let before = bench.launch.begun();
    while begin.elapsed() < Duration::from_secs(64) {
        refused(&bench, &versions[0]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bench.launch.begun() - before, 6);
    assert_eq!(bench.pool.usage().instances, 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_one_start_is_tried_for_all_and_its_success_ends_the_back_off() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    bench.launch.plan(Plan::Fail(START));
    refused(&bench, &versions[0]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls: Vec<_> = (0..5).map(|_| request(&bench, &versions[0])).collect();
    until("they wait", || waiting(&bench) == 5).await;
    for call in calls {
        call.await.expect("no panic").expect_err("the only start failed");
    }
    assert_eq!(bench.launch.begun(), 2);

    bench.launch.plan(Plan::Succeed(START));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let calls: Vec<_> = (0..5).map(|_| request(&bench, &versions[0])).collect();
    until("one is started", || bench.launch.begun() == 3).await;
    let mut leases = Vec::new();
    for call in calls {
        leases.push(call.await.expect("no panic").expect("a lease"));
    }
    assert_eq!(bench.launch.begun(), 7, "the others have one of their own");

    bench.launch.plan(Plan::Fail(START));
    let error = refused(&bench, &versions[0]).await;
    assert!(matches!(error, LeaseError::Launch(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_runs_goes_on_serving_and_is_waited_for() {
    let (bench, versions) = serving(Config { wait_ms_max: 500, ..Config::default() }, &[EVENT]);
    let held = lease(&bench, &versions[0]).await;
    bench.launch.plan(Plan::Fail(START));
    refused(&bench, &versions[0]).await;
    let waits = request(&bench, &versions[0]);
    until("it waits", || waiting(&bench) == 1).await;
    drop(held);
    let held = waits.await.expect("no panic").expect("the instance that runs");
    let before = Instant::now();
    let error = refused(&bench, &versions[0]).await;
    assert!(matches!(error, LeaseError::BackedOff(_)), "{error}");
    assert!(before.elapsed() >= Duration::from_millis(500), "it waited for the one that runs");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn who_still_waits_when_a_pause_is_over_is_served() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    let _held = lease(&bench, &versions[0]).await;
    bench.launch.plan(Plan::Fail(START));
    refused(&bench, &versions[0]).await;
    bench.launch.plan(Plan::Succeed(START));
    let waits = request(&bench, &versions[0]);
    let _second = waits.await.expect("no panic").expect("a start after the pause");
    assert_eq!(bench.launch.begun(), 3);
}

#[tokio::test(start_paused = true)]
async fn another_generation_begins_without_failures() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    bench.launch.plan(Plan::Fail(START));
    while bench.launch.begun() < 5 {
        refused(&bench, &versions[0]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bench.launch.plan(Plan::Succeed(START));
    assert!(matches!(refused(&bench, &versions[0]).await, LeaseError::BackedOff(_)));
    let next = version(EVENT, 2);
    bench.serve(std::slice::from_ref(&next));
    lease(&bench, &next).await;
}

#[tokio::test(start_paused = true)]
async fn provisioned_starts_and_those_of_calls_back_off_together() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    bench.launch.plan(Plan::Fail(START));
    bench.serve_ready(&versions, 5);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.launch.begun(), 5, "they are begun at once");
    assert!(matches!(refused(&bench, &versions[0]).await, LeaseError::BackedOff(_)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tries = bench.launch.begun() - 5;
    assert!((3..8).contains(&tries), "one at a time, at growing pauses: {tries} in a minute");
    bench.launch.plan(Plan::Succeed(START));
    tokio::time::sleep(Duration::from_secs(120)).await;
    let state = bench.pool.usage().provisioned.into_iter().next().expect("one version");
    assert_eq!((state.ready, state.status), (5, ProvisionedStatus::Done));
}
