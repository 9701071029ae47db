//! Keep-alive, freezing and prewarming of idle instances, over fake instances and in paused time.

use std::time::Duration;

use pool::Config;

use crate::support::{EVENT, Function, Plan, WEB};
use crate::{START, lease, request, serving};

#[tokio::test(start_paused = true)]
async fn an_instance_is_kept_for_as_long_as_calls_of_its_version_are_apart_also_when_all_were_gone() {
    let (bench, versions) = serving(Config { keep_idle_s: 60, ..Config::default() }, &[EVENT]);
    for _ in 0..10 {
        drop(lease(&bench, &versions[0]).await);
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert_eq!((bench.launch.begun(), bench.launch.alive()), (1, 1));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.launch.alive(), 0, "nobody ever came so late");
    drop(lease(&bench, &versions[0]).await);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(bench.launch.alive(), 0, "that is remembered: without experience it would be there");
}

#[tokio::test(start_paused = true)]
async fn the_instance_that_a_timer_calls_goes_and_is_back_before_the_next_call() {
    let config = Config { keep_idle_s: 60, keep_idle_s_min: 2, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT]);
    for _ in 0..6 {
        drop(lease(&bench, &versions[0]).await);
        tokio::time::sleep(Duration::from_secs(300)).await;
    }
    let cold = lease(&bench, &versions[0]).await;
    assert_eq!((bench.launch.begun(), cold.cold().is_some()), (7, true), "so far it came too late each time");
    drop(cold);
    tokio::time::sleep(Duration::from_secs(280)).await;
    assert_eq!((bench.launch.begun(), bench.launch.alive()), (7, 0));
    tokio::time::sleep(Duration::from_secs(18)).await;
    assert_eq!((bench.launch.begun(), bench.launch.alive()), (8, 1));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let warm = lease(&bench, &versions[0]).await;
    assert_eq!((bench.launch.begun(), warm.cold()), (8, None));
    drop(warm);
    bench.launch.plan(Plan::Fail(START));
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert_eq!((bench.launch.begun(), bench.launch.alive()), (9, 0), "one that fails is not tried again");
    assert_eq!(bench.pool.usage().instances, 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_burst_brings_an_instance_for_the_second() {
    let config = Config { keep_idle_s: 60, keep_idle_s_min: 2, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT]);
    for _ in 0..6 {
        let first = lease(&bench, &versions[0]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop((first, lease(&bench, &versions[0]).await));
        tokio::time::sleep(Duration::from_secs(400)).await;
    }
    assert_eq!(bench.launch.alive(), 0);
    let first = lease(&bench, &versions[0]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let second = lease(&bench, &versions[0]).await;
    assert_eq!((first.cold().is_some(), second.cold()), (true, None));
}

#[tokio::test(start_paused = true)]
async fn who_is_served_sooner_by_a_running_instance_waits_for_it_but_not_for_longer_than_a_start() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    let run = START / 10;
    let first = lease(&bench, &versions[0]).await;
    tokio::time::sleep(run).await;
    drop(first);
    let busy = lease(&bench, &versions[0]).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let request = request(&bench, &versions[0]);
            tokio::spawn(async move {
                let lease = request.await.expect("no panic").expect("an instance");
                tokio::time::sleep(run).await;
                drop(lease);
            })
        })
        .collect();
    tokio::time::sleep(run).await;
    drop(busy);
    for request in waiting {
        request.await.expect("no panic");
    }
    assert_eq!(bench.launch.begun(), 1);
    let _stuck = lease(&bench, &versions[0]).await;
    let since = tokio::time::Instant::now();
    let next = lease(&bench, &versions[0]).await;
    assert_eq!((bench.launch.begun(), next.cold().is_some()), (2, true));
    assert!(since.elapsed() < START * 3, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn idle_instances_stop_after_their_time() {
    let (bench, versions) = serving(Config { keep_idle_s: 60, ..Config::default() }, &[EVENT]);
    drop(lease(&bench, &versions[0]).await);
    tokio::time::sleep(Duration::from_secs(58)).await;
    drop(lease(&bench, &versions[0]).await);
    tokio::time::sleep(Duration::from_secs(58)).await;
    assert_eq!((bench.launch.begun(), bench.launch.alive()), (1, 1));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!((bench.launch.alive(), bench.pool.usage().instances), (0, 0));
    assert!(lease(&bench, &versions[0]).await.cold().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_idle_instance_is_frozen_and_thawed_before_its_next_request_and_ends_frozen() {
    let config = Config { freeze_after_ms: 1000, keep_idle_s: 60, ..Config::default() };
    let (bench, versions) = serving(config, &[WEB]);
    let first = lease(&bench, &versions[0]).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.launch.frozen(), 0, "it has a request");
    drop(first);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.launch.frozen(), 0, "not yet");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(bench.launch.frozen(), 1);
    let (one, two) = (lease(&bench, &versions[0]).await, lease(&bench, &versions[0]).await);
    assert_eq!((bench.launch.frozen(), bench.launch.begun()), (0, 1));
    drop((one, two));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((bench.launch.frozen(), bench.launch.alive()), (1, 1));
    tokio::time::sleep(Duration::from_secs(32)).await;
    assert_eq!(bench.launch.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn instances_are_not_frozen_where_the_configuration_or_the_function_says_so() {
    let awake = Function { tag: Some(("sampan:freeze", "off")), ..EVENT };
    for (function, freeze_after_ms, frozen) in [(EVENT, 0, 0), (awake, 1000, 0), (EVENT, 1000, 1)] {
        let (bench, versions) = serving(Config { freeze_after_ms, ..Config::default() }, &[function]);
        drop(lease(&bench, &versions[0]).await);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!((bench.launch.frozen(), bench.launch.alive()), (frozen, 1));
    }
}
