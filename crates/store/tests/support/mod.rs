//! Fixtures for tests of the public handle: a store in a separate directory, and functions for it.
#![allow(dead_code)] // Each test file uses its own part.

pub mod failing_writes;

use std::path::PathBuf;

use store::{Change, Config, Error, NewFunction, Store};
use tempfile::TempDir;
use types::{
    CatalogFunction, FunctionKey, FunctionKind, ImageSpec, ImageType, Namespace, PinnedImage, StatusReason, VersionKey,
    VersionName, VersionRecord, VersionSpec,
};

/// A store that can be opened again.
pub struct Home {
    pub dir: TempDir,
    pub config: Config,
}

impl Home {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), config }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("state").join("sampan.db")
    }

    pub async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    pub async fn try_open(&self) -> Result<Store, Error> {
        Store::open(&self.path(), self.config.clone()).await
    }
}

pub fn key(name: &str) -> FunctionKey {
    FunctionKey { namespace: Namespace::default_namespace(), name: name.parse().unwrap() }
}

pub fn spec(uri: &str) -> VersionSpec {
    VersionSpec {
        image: ImageSpec {
            image_type: ImageType::Personal,
            uri: uri.to_owned(),
            registry_id: None,
            command: None,
            args: None,
            accelerate: false,
            port: 9000,
        },
        memory_mb: 128,
        timeout_s: 3,
        init_timeout_s: 90,
        description: String::new(),
        environment: vec![("Z".into(), "1".into()), ("A".into(), "2".into())],
        concurrency: None,
        carried: serde_json::Map::from_iter([("Role".to_owned(), "r".into())]),
        extras: types::Extras::default(),
    }
}

pub fn new_function(name: &str) -> NewFunction {
    NewFunction {
        key: key(name),
        kind: FunctionKind::Http,
        protocol: None,
        async_run: false,
        trace: false,
        tags: vec![("team".into(), "blue".into())],
        spec: spec(&format!("localhost/{name}:v1")),
    }
}

pub fn image(filler: u8) -> PinnedImage {
    PinnedImage { digest: types::Digest::from_sha256(&[filler; 32]), size_bytes: 1 << 40 }
}

pub fn reason() -> StatusReason {
    StatusReason { error_code: "ImageNotFound".into(), error_message: "no such tag".into() }
}

/// The key of the preparation that the version awaits or last awaited.
pub fn version_key(version: &VersionRecord) -> VersionKey {
    VersionKey { function_id: version.function_id.clone(), version: version.version, generation: version.generation }
}

pub async fn latest(store: &Store, name: &str) -> VersionRecord {
    store.function(&key(name)).await.unwrap().latest().clone()
}

/// Creates a function that serves `image`.
pub async fn active(store: &Store, name: &str, image: PinnedImage) -> VersionRecord {
    store.create_function(new_function(name)).await.unwrap();
    assert!(store.mark_active(&version_key(&latest(store, name).await), image).await.unwrap());
    latest(store, name).await
}

/// Changes the image to `uri`.
pub async fn update(store: &Store, name: &str, uri: &'static str) -> Result<VersionRecord, Error> {
    let changed = store
        .change_latest(&key(name), move |_, old| {
            let mut spec = old.desired.clone();
            spec.image.uri = uri.to_owned();
            Ok::<_, ()>(Change { spec, resolve: true, publish: false })
        })
        .await?;
    Ok(changed.unwrap())
}

/// Changes only the memory size.
pub async fn resize(store: &Store, name: &str, memory_mb: u32) -> Result<VersionRecord, Error> {
    let changed = store
        .change_latest(&key(name), move |_, old| {
            let spec = VersionSpec { memory_mb, ..old.desired.clone() };
            Ok::<_, ()>(Change { spec, resolve: false, publish: false })
        })
        .await?;
    Ok(changed.unwrap())
}

/// The function's entry in the catalog.
pub fn entry(store: &Store, name: &str) -> Option<std::sync::Arc<CatalogFunction>> {
    store.catalog().load().functions.get(&key(name)).cloned()
}

/// Generation and digest of the serving version in the catalog.
pub fn served(store: &Store, name: &str) -> Option<(u64, PinnedImage)> {
    let version = entry(store, name)?.versions.get(&VersionName::Latest)?.clone();
    Some((version.key.generation, version.image.clone()))
}
