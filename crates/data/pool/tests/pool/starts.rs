//! Starts per minute and parallel starts are shared between functions.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_function_that_starts_all_it_can_leaves_starts_to_others() {
    let config = Config { starts_per_minute_max: 20, keep_idle_s: 3600, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT, OTHER]);
    // Each of its instances serves one call, and is not used again.
    let mut limit = None;
    for _ in 0..100 {
        match bench.pool.lease(&versions[0], &RequestId::random(), None).await {
            Ok(lease) => lease.recycle(),
            Err(error) => limit = Some(error),
        }
    }
    let limit = limit.expect("more than its share");
    assert_eq!((limit.status(), bench.launch.begun()), (RunStatus::ResourceLimit, 12));
    assert!(limit.to_string().contains("its share of the 20 new instances a minute"), "{limit}");
    lease(&bench, &versions[1]).await;
    assert_eq!(bench.launch.begun(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_fails_to_start_leaves_starts_to_others() {
    let config = Config { starts_per_minute_max: 10, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT, OTHER]);
    bench.launch.plan(Plan::Fail(START));
    for _ in 0..600 {
        bench.pool.lease(&versions[0], &RequestId::random(), None).await.expect_err("it does not start");
    }
    bench.launch.plan(Plan::Succeed(START));
    lease(&bench, &versions[1]).await;
}

#[tokio::test(start_paused = true)]
async fn hanging_starts_of_many_functions_hold_up_others_for_a_while_only() {
    let hold = Duration::from_millis(700);
    let config = Config { starts_parallel_max: 2, start_hold_ms_max: 700, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT, OTHER, WEB]);
    bench.launch.plan(Plan::Succeed(Duration::from_secs(90)));
    // One each: the share of a version is one of the two.
    let hang: Vec<_> = [&versions[0], &versions[1]].map(|version| request(&bench, version)).into();
    until("both places are taken", || bench.launch.begun() == 2).await;
    bench.launch.plan(Plan::Succeed(START));
    let before = Instant::now();
    lease(&bench, &versions[2]).await;
    assert_eq!(before.elapsed(), hold + START);
    hang.into_iter().for_each(|request| request.abort());
}

#[tokio::test(start_paused = true)]
async fn starts_that_hang_do_not_keep_others_from_starting() {
    let config = Config { starts_parallel_max: 4, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT, OTHER]);
    bench.launch.plan(Plan::Succeed(Duration::from_secs(90)));
    let hang: Vec<_> = (0..10).map(|_| request(&bench, &versions[0])).collect();
    until("as many as may be are started", || bench.launch.begun() == 3).await;
    bench.launch.plan(Plan::Succeed(START));
    let before = Instant::now();
    lease(&bench, &versions[1]).await;
    assert_eq!(before.elapsed(), START);
    hang.into_iter().for_each(|request| request.abort());
}
