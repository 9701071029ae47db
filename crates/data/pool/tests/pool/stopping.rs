//! Instances that take time to stop.

use std::time::Duration;

use pool::Config;
use tokio::time::Instant;

use crate::support::{EVENT, OTHER, until, version};
use crate::{START, lease, request, serving, waiting};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_ends_counts_until_it_is_gone_and_whoever_waits_for_its_room_gets_it_then() {
    let config = Config { memory_mb_max: 128, freeze_after_ms: 0, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT, OTHER]);
    *bench.launch.lingering.lock() = 2 * SECOND;
    drop(lease(&bench, &versions[0]).await);
    let before = Instant::now();
    let waits = request(&bench, &versions[1]);
    until("the idle instance is asked to end", || bench.launch.asked() == 1).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!((bench.launch.begun(), bench.pool.usage().memory_mb, waiting(&bench)), (1, 128, 1));
    let served = waits.await.expect("no panic").expect("room");
    assert_eq!((before.elapsed(), bench.launch.asked()), (2 * SECOND + START, 1));
    drop(served);
}

#[tokio::test(start_paused = true)]
async fn a_long_grace_keeps_nobody_waiting_for_longer_than_requests_wait() {
    let config = Config { memory_mb_max: 128, ..Config::default() };
    let (bench, versions) = serving(config.clone(), &[EVENT, OTHER]);
    *bench.launch.lingering.lock() = 30 * SECOND;
    drop(lease(&bench, &versions[0]).await);
    let before = Instant::now();
    lease(&bench, &versions[1]).await;
    assert_eq!(before.elapsed(), Duration::from_millis(config.evict_grace_ms_max) + START);
}

#[tokio::test(start_paused = true)]
async fn what_ends_already_hurries_when_somebody_waits_for_its_room() {
    let config = Config { memory_mb_max: 128, ..Config::default() };
    let (bench, versions) = serving(config.clone(), &[EVENT, OTHER]);
    *bench.launch.lingering.lock() = 30 * SECOND;
    drop(lease(&bench, &versions[0]).await);
    // It is replaced, and no request waits.
    let replaced = [version(EVENT, 2), version(OTHER, 1)];
    bench.serve(&replaced);
    until("it is asked to end", || bench.launch.asked() == 1).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(bench.launch.alive(), 1);
    let before = Instant::now();
    let waits = [request(&bench, &replaced[0]), request(&bench, &replaced[0])];
    for waits in waits {
        drop(waits.await.expect("no panic").expect("room"));
    }
    assert_eq!(before.elapsed(), Duration::from_millis(config.evict_grace_ms_max) + START);
    assert_eq!(bench.launch.asked(), 1, "nobody is asked twice");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_failed_is_killed_and_one_that_is_replaced_is_asked_to_end() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    *bench.launch.lingering.lock() = 30 * SECOND;
    let fails = lease(&bench, &versions[0]).await;
    fails.kill();
    assert_eq!((bench.launch.asked(), bench.launch.alive()), (0, 0));
    drop(fails);
    let replaced = lease(&bench, &versions[0]).await;
    bench.serve(&[]);
    until("it takes no more requests", || bench.pool.usage().instances == 1).await;
    drop(replaced);
    until("it is asked to end", || bench.launch.asked() == 1).await;
    assert_eq!(bench.launch.alive(), 1);
    bench.launch.processes.lock()[1].over.cancel();
    until("nothing is left", || bench.pool.usage().instances == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_asks_the_idle_at_once_and_the_busy_after_its_grace_and_kills_what_is_left() {
    let (bench, versions) = serving(Config::default(), &[EVENT]);
    *bench.launch.lingering.lock() = 30 * SECOND;
    let (idle, busy) = (lease(&bench, &versions[0]).await, lease(&bench, &versions[0]).await);
    drop(idle);
    assert_eq!(bench.pool.stop_grace(), 30 * SECOND);
    let (pool, before) = (bench.pool.clone(), Instant::now());
    let drain = tokio::spawn(async move { pool.drain(10 * SECOND, 5 * SECOND).await });
    until("the idle one is asked", || bench.launch.asked() == 1).await;
    tokio::time::sleep(11 * SECOND).await;
    assert_eq!((bench.launch.asked(), bench.launch.alive()), (2, 2), "each is asked once");
    drain.await.expect("no panic");
    assert_eq!((bench.launch.alive(), before.elapsed()), (0, 15 * SECOND));
    drop(busy);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_ends_is_not_frozen() {
    let config = Config { keep_idle_s: 10, ..Config::default() };
    let (bench, versions) = serving(config, &[EVENT]);
    *bench.launch.lingering.lock() = 30 * SECOND;
    drop(lease(&bench, &versions[0]).await);
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(bench.launch.frozen(), 1);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!((bench.launch.asked(), bench.launch.frozen(), bench.launch.alive()), (1, 0, 1));
}
