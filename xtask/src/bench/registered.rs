//! What it takes to find a function and lease its warm instance, with few and with very many functions registered. The
//! catalog and the pool are the platform's; instances are none, so that nothing else is measured.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use pool::{BoxFuture, ColdStart, Config, Ended, Launch, LaunchError, Launched, Pool, Process};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::{
    Catalog, CatalogFunction, CatalogVersion, Digest, FunctionId, FunctionKey, FunctionKind, FunctionRecord, ImageSpec,
    ImageType, InstanceId, Namespace, PinnedImage, Qualifier, RequestId, RouteBy, SharedCatalog, Status, VersionKey,
    VersionName, VersionSpec,
};

use super::median;

/// Functions that are registered.
const REGISTERED: [usize; 3] = [10, 1_000, 100_000];
/// Functions that are called, spread over all of them.
const CALLED: usize = 10;
/// Calls of each in a round.
const CALLS: usize = 2_000;

/// An instance that is only a name.
struct Nobody;

impl Process for Nobody {
    fn connect(&self) -> BoxFuture<'_, io::Result<tokio::net::TcpStream>> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }

    fn ended(&self) -> BoxFuture<'_, Ended> {
        Box::pin(std::future::pending())
    }

    fn kill(&self) {}

    fn out_of_memory(&self) -> bool {
        false
    }

    fn memory_peak_bytes(&self) -> u64 {
        0
    }
}

struct AtOnce;

impl Launch for AtOnce {
    fn launch(
        &self,
        _id: InstanceId,
        _version: Arc<CatalogVersion>,
        _first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async { Ok(Launched { process: Arc::new(Nobody), cold_start: ColdStart::default() }) })
    }
}

/// Measures and prints.
pub fn run(rounds: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut first = None;
    for registered in REGISTERED {
        let ns = runtime.block_on(measure(registered, rounds))?;
        let first = *first.get_or_insert(ns);
        println!(
            "{registered} functions registered: {ns:.0} ns to find one and lease its instance (unoptimised), {:.2}x of {} functions",
            ns / first,
            REGISTERED[0]
        );
    }
    println!("goal: flat from 10 to 100,000 functions");
    Ok(())
}

async fn measure(registered: usize, rounds: usize) -> anyhow::Result<f64> {
    let versions = (0..registered).map(version).collect::<anyhow::Result<Vec<_>>>()?;
    let functions = versions.iter().map(|version| (version.function.key.clone(), function(version))).collect();
    let catalog: SharedCatalog = Arc::new(ArcSwap::from_pointee(Catalog { functions, ..Catalog::default() }));
    let (_changes, changed) = watch::channel(0);
    let stop = CancellationToken::new();
    let pool: Pool<()> = Pool::new(Arc::new(AtOnce), Arc::clone(&catalog), changed, Config::default(), &stop);
    let called: Vec<FunctionKey> =
        versions.iter().step_by(registered / CALLED).map(|version| version.function.key.clone()).collect();
    let mut times_ns = Vec::new();
    // The first round starts the instances.
    for _ in 0..=rounds.max(3) {
        let began = Instant::now();
        for _ in 0..CALLS {
            for key in &called {
                let found = catalog.load().find(key, &Qualifier::Version(VersionName::Latest), RouteBy::MAIN);
                let version = found.map_err(|missing| anyhow::anyhow!("{key} is not found: {missing:?}"))?;
                drop(pool.lease(&version, &RequestId::random(), None).await?);
            }
        }
        times_ns.push(began.elapsed().as_secs_f64() * 1e9 / (CALLS * called.len()) as f64);
    }
    times_ns.remove(0);
    stop.cancel();
    Ok(median(&mut times_ns))
}

fn function(version: &Arc<CatalogVersion>) -> Arc<CatalogFunction> {
    Arc::new(CatalogFunction {
        record: Arc::clone(&version.function),
        status: Status::Active,
        versions: HashMap::from([(version.key.version, Arc::clone(version))]).into_iter().collect(),
        aliases: [].into(),
        reserved_mb: None,
        provisioned: [].into(),
    })
}

fn version(number: usize) -> anyhow::Result<Arc<CatalogVersion>> {
    let key = FunctionKey { namespace: Namespace::default_namespace(), name: format!("f{number}").parse()? };
    let id: FunctionId = format!("lam-{number:08}").parse()?;
    let record = FunctionRecord {
        id: id.clone(),
        key,
        kind: FunctionKind::Event,
        protocol: None,
        async_run: false,
        trace: false,
        tags: Vec::new(),
        added_ms: 0,
        modified_ms: 0,
    };
    let image = ImageSpec {
        image_type: ImageType::Personal,
        uri: "localhost/hello:1".to_owned(),
        registry_id: None,
        command: None,
        args: None,
        accelerate: false,
        port: 9000,
    };
    let spec = VersionSpec {
        image,
        memory_mb: 128,
        timeout_s: 3,
        init_timeout_s: 90,
        description: String::new(),
        environment: Vec::new(),
        concurrency: None,
        carried: serde_json::Map::new(),
    };
    Ok(Arc::new(CatalogVersion {
        key: VersionKey { function_id: id, version: VersionName::Latest, generation: 1 },
        function: Arc::new(record),
        spec,
        image: PinnedImage { digest: Digest::from_sha256(&[0; 32]), size_bytes: 0 },
    }))
}
