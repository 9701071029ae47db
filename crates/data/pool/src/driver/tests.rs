//! How many versions maintenance and a change of the catalog examine.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use types::{Catalog, CatalogFunction, CatalogVersion, ChangeSet, FunctionChange, RequestId, VersionKey};

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

/// A pool without its task, so that the test does all of its maintenance, and versions with one
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

/// Runs a pass every second as the task does; returns how many versions each examined.
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
    // The grant is in the first request's channel when that request goes away.
    drop(busy);
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    assert!(second.await.expect("no panic").cold().is_none());
}

/// The catalog after a change of one function, which now has this version and reservation;
/// `unserved` are removed.
fn change(bench: &Bench, version: &Arc<CatalogVersion>, reserved_mb: Option<u64>, unserved: &[&VersionKey]) {
    let old = bench.catalog.load_full();
    let mut functions = old.functions.clone();
    let key = version.function.key.clone();
    let before = &old.functions[&key];
    let entry = CatalogFunction {
        record: Arc::clone(&version.function),
        status: before.status,
        versions: [(version.key.version, Arc::clone(version))].into(),
        aliases: before.aliases.clone(),
        reserved_mb,
        provisioned: before.provisioned.clone(),
        event_invoke: before.event_invoke,
        triggers: Vec::new(),
    };
    functions.insert(key.clone(), Arc::new(entry));
    let unserved = unserved.iter().copied().cloned().collect();
    let change = FunctionChange { key, id: version.key.function_id.clone(), unserved };
    let changes = old.changes.next(ChangeSet { functions: vec![change], quota: false }, 2);
    bench.catalog.store(Arc::new(Catalog { revision: old.revision + 1, functions, changes, ..Catalog::default() }));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_catalog_looks_at_its_function_however_many_versions_there_are() {
    let (bench, pool, versions) = idle_versions().await;
    pool.driver.follow_catalog();
    let seen = bench.catalog.load().revision;
    let follow = || pool.driver.follow_changes(&bench.catalog.load_full(), seen);
    assert_eq!(follow(), Some(0));
    let newer = version(Function { name: versions[0].function.key.name.as_str().to_owned().leak(), ..EVENT }, 2);
    assert_ne!(newer.key, versions[0].key);
    change(&bench, &newer, None, &[&versions[0].key]);
    assert_eq!(follow(), Some(2), "the version before and the one after, of {VERSIONS}");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.launch.alive(), VERSIONS - 1, "the idle instance of the version before has ended");
    change(&bench, &versions[1], Some(300), &[]);
    assert_eq!(follow(), None, "a reservation concerns what all others share");
    pool.driver.follow_catalog();
    assert!(pool.driver.admission.lock().is_reserved(&versions[1].key.function_id));
    change(&bench, &versions[2], None, &[]);
    assert_eq!(follow(), None, "the history holds two change sets, and three are missed");
}

#[tokio::test(start_paused = true)]
async fn what_a_change_set_left_out_is_found_by_the_resync() {
    let bench = Bench::new(Config { catalog_resync_interval_s: 20, ..config() });
    let first = version(EVENT, 1);
    bench.serve(std::slice::from_ref(&first));
    drop(bench.pool.lease(&first, &RequestId::random(), None).await.expect("a lease"));
    change(&bench, &version(EVENT, 2), None, &[]);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.launch.alive(), 1);
    sleep(Duration::from_secs(15)).await;
    assert_eq!(bench.launch.alive(), 0);
}
