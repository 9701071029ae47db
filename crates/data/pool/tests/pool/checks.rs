//! Start checks of versions that the catalog does not have yet.

use pool::LimitExceeded;

use super::*;

/// Longest wait for room.
const WAIT_MAX: Duration = Duration::from_secs(5);

fn over_quota(error: &LeaseError) -> bool {
    matches!(error, LeaseError::OverQuota { limit: LimitExceeded::Memory { .. }, .. })
}

#[tokio::test(start_paused = true)]
async fn the_checked_instance_serves_the_first_call() {
    let (bench, _) = serving(Config::default(), &[EVENT]);
    let next = version(EVENT, 2);
    let checked = bench.pool.check(&next, WAIT_MAX).await.expect("it starts");
    // Changes of others do not end it while it is not served.
    bench.serve(&[version(EVENT, 1), version(OTHER, 1)]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    bench.serve(std::slice::from_ref(&next));
    drop(checked);
    let first = lease(&bench, &next).await;
    assert_eq!((first.cold(), bench.launch.begun()), (None, 1));
    drop(first);
    bench.serve(&[]);
    until("it ends with its version", || bench.launch.alive() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_kept_as_long_as_after_a_call() {
    let config = Config { keep_idle_s: 60, freeze_after_ms: 0, ..Config::default() };
    let (bench, _) = serving(config, &[]);
    let next = version(EVENT, 1);
    let checked = bench.pool.check(&next, WAIT_MAX).await.expect("it starts");
    bench.serve(std::slice::from_ref(&next));
    drop(checked);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(bench.launch.alive(), 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(bench.launch.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_says_why_and_the_version_before_keeps_its_instance() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    drop(lease(&bench, &versions[0]).await);
    bench.launch.plan(Plan::Fail(START));
    let error = bench.pool.check(&version(EVENT, 2), WAIT_MAX).await.expect_err("it does not start");
    assert_eq!((error.status(), bench.launch.begun()), (RunStatus::PortBindingFailed, 2));
    assert!(lease(&bench, &versions[0]).await.cold().is_none());
    until("nothing else is counted", || bench.pool.usage().instances == 1).await;
    bench.launch.plan(Plan::Panic);
    let error = bench.pool.check(&version(EVENT, 3), WAIT_MAX).await.expect_err("it does not start");
    assert_eq!(error.status(), RunStatus::InternalError);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_given_up_ends_its_instance() {
    let (bench, _) = serving(Config::default(), &[]);
    let checked = bench.pool.check(&version(EVENT, 1), WAIT_MAX).await.expect("it starts");
    drop(checked);
    until("the instance ends", || bench.launch.alive() == 0).await;
    let (pool, next) = (bench.pool.clone(), version(EVENT, 2));
    let check = tokio::spawn(async move { pool.check(&next, WAIT_MAX).await.is_ok() });
    until("another start begins", || bench.launch.begun() == 2).await;
    check.abort();
    until("it is given up", || bench.launch.given_up.load(Ordering::SeqCst) == 1).await;
    until("nothing is counted", || bench.pool.usage().instances == 0).await;
}

#[tokio::test(start_paused = true)]
async fn idle_instances_make_room_for_a_check_and_running_ones_do_not() {
    let (bench, versions) = serving(Config { memory_mb_max: 128, ..Config::default() }, &[OTHER]);
    let running = lease(&bench, &versions[0]).await;
    let before = Instant::now();
    let next = version(EVENT, 1);
    let error = bench.pool.check(&next, WAIT_MAX).await.expect_err("there is no room");
    assert!(over_quota(&error), "{error}");
    assert!(before.elapsed() >= WAIT_MAX && bench.launch.begun() == 1);
    drop(running);
    let checked = bench.pool.check(&version(EVENT, 2), WAIT_MAX).await;
    assert!(checked.is_ok() && bench.launch.alive() == 1, "the idle one has ended");
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_room_is_tried_a_few_times_and_then_again_when_it_has_some() {
    let (bench, _) = serving(Config::default(), &[]);
    bench.launch.plan(Plan::Crowded);
    let (begun, wait_max) = (Instant::now(), Duration::from_secs(30));
    let error = bench.pool.check(&version(EVENT, 1), wait_max).await.expect_err("there is no room");
    assert_eq!(error.status(), RunStatus::InsufficientResources);
    assert!(begun.elapsed() >= wait_max && bench.launch.begun() < 15, "{} starts", bench.launch.begun());
    let (pool, next) = (bench.pool.clone(), version(EVENT, 2));
    let check = tokio::spawn(async move { pool.check(&next, wait_max).await.is_ok() });
    tokio::time::sleep(Duration::from_secs(2)).await;
    bench.launch.plan(Plan::Succeed(START));
    assert!(check.await.expect("no panic"));
}

#[tokio::test(start_paused = true)]
async fn what_never_fits_is_not_waited_for() {
    let (bench, _) = serving(Config { memory_mb_max: 100, ..Config::default() }, &[]);
    let before = Instant::now();
    let error = bench.pool.check(&version(EVENT, 1), WAIT_MAX).await.expect_err("it is too large");
    assert!(over_quota(&error) && before.elapsed() < WAIT_MAX, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_not_a_failed_start() {
    let (bench, _) = serving(Config::default(), &[]);
    let (pool, next) = (bench.pool.clone(), version(EVENT, 1));
    let check = tokio::spawn(async move { pool.check(&next, WAIT_MAX).await.err() });
    until("the start begins", || bench.launch.begun() == 1).await;
    bench.pool.drain(Duration::ZERO, Duration::ZERO).await;
    let error = check.await.expect("no panic").expect("an error");
    assert!(matches!(error, LeaseError::Closed { .. }), "{error}");
}
