//! How much maintenance looks at.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, RequestId};

use super::Driver;
use crate::config::Config;
use crate::handle::Pool;
use crate::support::{Bench, EVENT, Function, Plan, version};

const VERSIONS: usize = 500;

fn config() -> Config {
    Config {
        instances_max: u32::MAX,
        starts_per_minute_max: 0,
        starts_parallel_max: 1000,
        freeze_after_ms: 1000,
        keep_idle_s: 60,
        ..Config::default()
    }
}

/// A pool without its task, so that the test does all of its maintenance, and versions that have an
/// idle instance each.
async fn idle_versions() -> (Bench, Pool<()>, Vec<Arc<CatalogVersion>>) {
    let bench = Bench::new(config());
    bench.launch.plan(Plan::Succeed(Duration::ZERO));
    let names: Vec<String> = (0..VERSIONS).map(|number| format!("f{number:03}")).collect();
    let names: &'static [String] = names.leak();
    let versions: Vec<_> = names.iter().map(|name| version(Function { name, ..EVENT }, 1)).collect();
    bench.serve(&versions);
    let (launch, catalog) = (bench.launch.clone(), bench.catalog.clone());
    let driver = Arc::new(Driver::new(launch, catalog, config(), &CancellationToken::new()));
    let pool = Pool { driver };
    for version in &versions {
        drop(pool.lease(version, &RequestId::random(), None).await.expect("a lease"));
    }
    (bench, pool, versions)
}

/// Looks every second as the task does; how many versions were looked at in each.
async fn look(pool: &Pool<()>, seconds: usize) -> Vec<usize> {
    let mut looks = Vec::new();
    for _ in 0..seconds {
        sleep(Duration::from_secs(1)).await;
        looks.push(pool.driver.look(Instant::now()));
    }
    looks
}

#[tokio::test(start_paused = true)]
async fn maintenance_looks_at_versions_whose_time_has_come_and_at_no_others() {
    let (bench, pool, _) = idle_versions().await;
    let settle = look(&pool, 5).await;
    assert!(settle.iter().sum::<usize>() <= 3 * VERSIONS, "{settle:?}");
    assert_eq!(bench.launch.frozen(), VERSIONS);
    assert_eq!(look(&pool, 50).await, [0; 50], "they are idle, and nothing is to be done");
    let last = look(&pool, 12).await;
    assert!(last.iter().sum::<usize>() <= 3 * VERSIONS, "{last:?}");
    assert_eq!((bench.launch.alive(), pool.driver.all_versions().len()), (0, 0), "idle for a minute");
    assert_eq!(pool.driver.deadlines.lock().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn maintenance_grows_with_the_versions_that_are_called() {
    const CALLED: usize = 7;
    let (_bench, pool, versions) = idle_versions().await;
    look(&pool, 5).await;
    for _ in 0..40 {
        for version in &versions[..CALLED] {
            for _ in 0..10 {
                drop(pool.lease(version, &RequestId::random(), None).await.expect("a lease"));
            }
        }
        let looks = look(&pool, 1).await;
        assert!(looks[0] <= CALLED, "{looks:?}");
    }
    assert_eq!(pool.driver.deadlines.lock().len(), VERSIONS, "each has one deadline");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_nobody_takes_goes_to_the_next_one_who_waits() {
    let (bench, pool, versions) = idle_versions().await;
    let busy = pool.lease(&versions[0], &RequestId::random(), None).await.expect("a lease");
    bench.launch.plan(Plan::Succeed(Duration::from_secs(100)));
    let waiting = || {
        let (pool, version) = (pool.clone(), Arc::clone(&versions[0]));
        tokio::spawn(async move { pool.lease(&version, &RequestId::random(), None).await.expect("a lease") })
    };
    let (first, second) = (waiting(), waiting());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    // The grant is in the first one's channel when that one goes away.
    drop(busy);
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    assert!(second.await.expect("no panic").cold().is_none());
}
