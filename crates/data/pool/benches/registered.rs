//! Time to find a function in the catalog and lease its warm instance, with few and with very many
//! functions registered. Instances are only names, so nothing else is measured.
#![allow(clippy::unwrap_used, dead_code)] // Not all that tests share is used here.

#[path = "../tests/pool/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use pool::Config;
use support::{Bench, EVENT, Function, Plan, version};
use types::{Qualifier, RequestId, RouteBy, VersionName};

/// Numbers of registered functions.
const REGISTERED: [usize; 3] = [10, 1_000, 100_000];
/// Number of called functions, spread over all of them.
const CALLED: usize = 10;
/// Calls of each function per round.
const CALLS: usize = 20_000;
/// Number of rounds; the median is reported.
const ROUNDS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let names: Vec<String> = (0..REGISTERED[REGISTERED.len() - 1]).map(|number| format!("f{number:06}")).collect();
    // They live as long as the process anyway.
    let names: &'static [String] = names.leak();
    let ns = REGISTERED.map(|registered| runtime.block_on(measure(&names[..registered])));
    for (registered, ns_each) in REGISTERED.iter().zip(ns) {
        let ratio = ns_each / ns[0];
        println!("{registered} functions registered: {ns_each:.0} ns to find one and lease its instance, {ratio:.2}x");
    }
    println!("goal: flat from 10 to 100,000 functions");
}

async fn measure(names: &'static [String]) -> f64 {
    let versions: Vec<_> = names.iter().map(|name| version(Function { name, ..EVENT }, 1)).collect();
    let bench = Bench::new(Config::default());
    bench.launch.plan(Plan::Succeed(Duration::ZERO));
    bench.serve(&versions);
    let called: Vec<_> = versions.iter().step_by(names.len() / CALLED).map(|v| v.function.key.clone()).collect();
    let mut times_ns = Vec::new();
    // The first round starts the instances.
    for _ in 0..=ROUNDS {
        let began = Instant::now();
        for key in called.iter().cycle().take(CALLS * CALLED) {
            let found = bench.catalog.load().find(key, &Qualifier::Version(VersionName::Latest), RouteBy::MAIN);
            let version = found.expect("it is registered");
            drop(bench.pool.lease(&version, &RequestId::random(), None).await.expect("a lease"));
        }
        times_ns.push(began.elapsed().as_secs_f64() * 1e9 / (CALLS * CALLED) as f64);
    }
    let rounds = &mut times_ns[1..];
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
