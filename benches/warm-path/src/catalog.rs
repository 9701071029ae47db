//! Catalog with the web function `warm` in the namespace `default`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use types::{
    Catalog, CatalogFunction, CatalogVersion, ConcurrencySpec, Digest, FunctionId, FunctionKey, FunctionKind,
    FunctionRecord, ImageSpec, ImageType, PinnedImage, Route, SharedCatalog, Status, VersionKey, VersionName,
    VersionSpec,
};

/// Concurrent requests of one instance.
const CONCURRENCY: u32 = 32;

/// Makes the catalog.
pub fn catalog() -> anyhow::Result<SharedCatalog> {
    let key = FunctionKey { namespace: "default".parse()?, name: "warm".parse()? };
    let record = Arc::new(FunctionRecord {
        id: FunctionId::random(),
        key: key.clone(),
        kind: FunctionKind::Http,
        protocol: None,
        async_run: false,
        trace: false,
        tags: Vec::new(),
        added_ms: 0,
        modified_ms: 0,
    });
    let version = CatalogVersion {
        key: VersionKey { function_id: record.id.clone(), version: VersionName::Latest, generation: 1 },
        function: record.clone(),
        spec: spec(),
        image: PinnedImage { digest: Digest::from_sha256(&[7; 32]), size_bytes: 1 },
    };
    let function = CatalogFunction {
        record,
        status: Status::Active,
        versions: BTreeMap::from([(VersionName::Latest, Arc::new(version))]),
        aliases: [("$DEFAULT".into(), Route::to(VersionName::Latest))].into(),
        reserved_mb: None,
        provisioned: BTreeMap::new(),
        event_invoke: Default::default(),
        triggers: Vec::new(),
    };
    let functions = [(key, Arc::new(function))].into_iter().collect();
    Ok(Arc::new(ArcSwap::from_pointee(Catalog { revision: 1, functions, ..Catalog::default() })))
}

fn spec() -> VersionSpec {
    VersionSpec {
        image: ImageSpec {
            image_type: ImageType::Personal,
            uri: "registry.test/warm:v1".into(),
            registry_id: None,
            command: None,
            args: None,
            accelerate: false,
            port: 9000,
        },
        memory_mb: 128,
        timeout_s: 30,
        init_timeout_s: 30,
        description: String::new(),
        environment: Vec::new(),
        concurrency: Some(ConcurrencySpec {
            max_concurrency: CONCURRENCY,
            session: None,
            as_given: serde_json::Value::Null,
        }),
        carried: serde_json::Map::new(),
        extras: types::Extras::default(),
    }
}
