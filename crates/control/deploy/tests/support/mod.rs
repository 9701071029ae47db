//! Shared by the tests: a fake image store controlled by the repository's name, and a platform of
//! store and deploy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deploy::{Config, Deploy, Prepare, PrepareRequest, Prepared, Progress, StartCheck, StartError, Step};
use oci::RunConfig;
use parking_lot::Mutex;
use store::{Change, NewFunction, Store};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::{
    CatalogVersion, Digest, FunctionKey, FunctionKind, ImageRef, ImageSpec, ImageType, Namespace, Status, StatusReason,
    VersionKey, VersionName, VersionRecord, VersionSpec,
};

/// Timeout of a polled condition.
const PATIENCE: Duration = Duration::from_secs(20);

/// Prepares according to the repository's name: `absent` fails, `empty` has nothing to run,
/// `panics` panics, all others succeed. While closed, preparations wait.
#[derive(Clone)]
pub struct FakeImages {
    state: Arc<Mutex<State>>,
    open: watch::Sender<bool>,
    damage: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    pins: BTreeMap<String, Digest>,
    requests: Vec<ImageRef>,
    running: usize,
    running_max: usize,
    unpins_refused: usize,
    preparations_refused: usize,
    /// Prefixes whose owners were listed.
    listed: Vec<String>,
    /// Images with missing content.
    broken: Vec<Digest>,
}

/// Counts a preparation until it ends or is dropped.
struct Running(Arc<Mutex<State>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl FakeImages {
    pub fn new() -> Self {
        Self { state: Arc::default(), open: watch::Sender::new(true), damage: watch::Sender::new(0) }
    }

    /// Makes later preparations wait.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Releases waiting preparations.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Fails the next `times` unpins.
    pub fn refuse_unpins(&self, times: usize) {
        self.state.lock().unpins_refused = times;
    }

    /// Fails the next `times` preparations.
    pub fn refuse_preparations(&self, times: usize) {
        self.state.lock().preparations_refused = times;
    }

    pub fn pin(&self, owner: &str) {
        self.state.lock().pins.insert(owner.to_owned(), digest_of("left"));
    }

    /// Drops all pins, like a lost directory.
    pub fn lose_pins(&self) {
        self.state.lock().pins.clear();
    }

    /// Marks an image damaged until it is prepared again.
    pub fn damage(&self, digest: Digest) {
        self.state.lock().broken.push(digest);
        self.damage.send_modify(|count| *count += 1);
    }

    pub fn pinned(&self) -> Vec<String> {
        self.state.lock().pins.keys().cloned().collect()
    }

    /// Prefixes whose owners were listed since the last call.
    pub fn take_listed(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().listed)
    }

    pub fn requests(&self) -> Vec<String> {
        self.state.lock().requests.iter().map(ToString::to_string).collect()
    }

    pub fn running(&self) -> usize {
        self.state.lock().running
    }

    pub fn running_max(&self) -> usize {
        self.state.lock().running_max
    }
}

impl Prepare for FakeImages {
    async fn prepare(&self, request: PrepareRequest) -> Result<Prepared, StatusReason> {
        {
            let mut state = self.state.lock();
            state.requests.push(request.image.clone());
            state.running += 1;
            state.running_max = state.running_max.max(state.running);
        }
        let _running = Running(self.state.clone());
        let progress = Progress {
            step: Step::Indexing,
            layers_done: 1,
            layers_total: 2,
            bytes_done: 5,
            bytes_total: 5,
            pause_s: None,
        };
        (request.progress)(progress);
        self.open.subscribe().wait_for(|open| *open).await.expect("the sender lives in self");
        {
            let mut state = self.state.lock();
            if state.preparations_refused > 0 {
                state.preparations_refused -= 1;
                return Err(StatusReason { error_code: "DiskFull".into(), error_message: "no room".into() });
            }
        }
        let run = match request.image.repository.as_str() {
            "absent" => {
                return Err(StatusReason { error_code: "ImageNotFound".into(), error_message: "no such tag".into() });
            }
            "panics" => panic!("as asked"),
            "empty" => RunConfig::default(),
            _ => RunConfig { cmd: vec!["/server".into()], ..RunConfig::default() },
        };
        let digest = request.image.digest.clone().unwrap_or_else(|| digest_of(request.image.reference()));
        let mut state = self.state.lock();
        state.broken.retain(|broken| *broken != digest);
        state.pins.insert(request.owner, digest.clone());
        Ok(Prepared { digest, size_bytes: 7, run: Arc::new(run) })
    }

    async fn unpin(&self, owner: &str) -> Result<(), StatusReason> {
        let mut state = self.state.lock();
        if state.unpins_refused > 0 {
            state.unpins_refused -= 1;
            return Err(StatusReason { error_code: "DiskFull".into(), error_message: "no room".into() });
        }
        state.pins.remove(owner);
        Ok(())
    }

    async fn keep(&self, owner: &str, digest: &Digest) -> Result<bool, StatusReason> {
        let mut state = self.state.lock();
        if state.broken.contains(digest) {
            return Ok(false);
        }
        state.pins.insert(owner.to_owned(), digest.clone());
        Ok(true)
    }

    fn damage(&self) -> watch::Receiver<u64> {
        self.damage.subscribe()
    }

    fn owners(&self, prefix: &str) -> Vec<String> {
        self.state.lock().listed.push(prefix.to_owned());
        self.pinned().into_iter().filter(|owner| owner.starts_with(prefix)).collect()
    }
}

/// Starts instances according to the repository's name: `crashes` fails, `crowded` is not admitted,
/// `stopping` finds the platform shutting down, all others succeed. While closed, starts wait.
#[derive(Clone)]
pub struct FakeStarts {
    state: Arc<Mutex<Starts>>,
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct Starts {
    checked: Vec<u64>,
    running: usize,
    held: usize,
}

/// Counts an instance until it is released.
pub struct Held(FakeStarts);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state.lock().held -= 1;
    }
}

struct Starting(FakeStarts);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
    }
}

impl FakeStarts {
    fn new() -> Self {
        Self { state: Arc::default(), open: watch::Sender::new(true) }
    }

    pub fn close(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Generations that were checked.
    pub fn checked(&self) -> Vec<u64> {
        self.state.lock().checked.clone()
    }

    pub fn running(&self) -> usize {
        self.state.lock().running
    }

    pub fn held(&self) -> usize {
        self.state.lock().held
    }
}

impl StartCheck for FakeStarts {
    type Started = Held;

    async fn check(&self, version: Arc<CatalogVersion>, _: Duration) -> Result<Held, StartError> {
        {
            let mut state = self.state.lock();
            state.checked.push(version.key.generation);
            state.running += 1;
        }
        let _starting = Starting(self.clone());
        self.open.subscribe().wait_for(|open| *open).await.expect("the sender lives in self");
        let image: ImageRef = version.spec.image.uri.parse().unwrap();
        match image.repository.as_str() {
            "crashes" => Err(StartError::Failed(StatusReason {
                error_code: "ContainerStateExited".into(),
                error_message: "exited with code 1. Its last output:\nno module".into(),
            })),
            "crowded" => Err(StartError::NoRoom("no memory".into())),
            "stopping" => Err(StartError::Stopping),
            _ => {
                self.state.lock().held += 1;
                Ok(Held(self.clone()))
            }
        }
    }
}

/// The digest that a tag resolves to.
pub fn digest_of(tag: &str) -> Digest {
    Digest::from_sha256(&[u8::try_from(tag.len()).unwrap(); 32])
}

/// Store and deploy in a temporary directory.
pub struct Platform {
    pub store: Store,
    pub images: FakeImages,
    pub starts: FakeStarts,
    shutdown: CancellationToken,
    deploy: Option<Deploy>,
    _dir: TempDir,
}

impl Platform {
    /// A store without a running deployer.
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("sampan.db"), store::Config::default()).await.unwrap();
        let shutdown = CancellationToken::new();
        let (images, starts) = (FakeImages::new(), FakeStarts::new());
        Self { store, images, starts, shutdown, deploy: None, _dir: dir }
    }

    pub async fn started() -> Self {
        let mut platform = Self::new().await;
        platform.start();
        platform
    }

    pub fn start(&mut self) {
        self.start_with(self.images.clone());
    }

    /// Starts deploying in the period after a start, when nothing is unpinned.
    pub fn start_keeping(&mut self) {
        self.start_by(self.images.clone(), Config::default().unknown_keep_s);
    }

    /// Starts deploying with another image store.
    pub fn start_with(&mut self, images: impl Prepare) {
        self.start_by(images, 0);
    }

    fn start_by(&mut self, images: impl Prepare, unknown_keep_s: u64) {
        let config = Config {
            parallel_max: 2,
            start_checks_parallel_max: 3,
            start_check_room_wait_s: 1,
            retry_pause_ms: 10,
            unknown_keep_s,
            ..Config::default()
        };
        self.shutdown = CancellationToken::new();
        self.deploy =
            Some(Deploy::start(self.store.clone(), images, self.starts.clone(), config, self.shutdown.clone()));
    }

    /// Stops deploying and waits for its end.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        let deploy = self.deploy.take().expect("started before");
        tokio::time::timeout(PATIENCE, deploy.join()).await.expect("an end in time");
    }

    pub async fn create(&self, name: &str, uri: &str) {
        let new = NewFunction {
            key: key(name),
            kind: FunctionKind::Event,
            protocol: None,
            async_run: false,
            trace: false,
            tags: Vec::new(),
            spec: spec(uri),
        };
        self.store.create_function(new).await.unwrap();
    }

    /// Changes the image.
    pub async fn update(&self, name: &str, uri: &str) {
        let change = Change { spec: spec(uri), resolve: true, publish: false };
        self.store.change_latest(&key(name), |_, _| Ok::<_, ()>(change)).await.unwrap().unwrap();
    }

    /// Changes the configuration only.
    pub async fn resize(&self, name: &str) {
        let edit = |_: &types::FunctionRecord, old: &VersionRecord| {
            let spec = VersionSpec { memory_mb: 256, ..old.desired.clone() };
            Ok::<_, ()>(Change { spec, resolve: false, publish: false })
        };
        self.store.change_latest(&key(name), edit).await.unwrap().unwrap();
    }

    pub async fn latest(&self, name: &str) -> VersionRecord {
        self.store.function(&key(name)).await.unwrap().latest().clone()
    }

    /// Polls until the version is in this state.
    pub async fn until_status(&self, name: &str, status: Status) -> VersionRecord {
        let wanted = async || self.latest(name).await.status == status;
        until(&format!("{name} is {}", status.as_str()), wanted).await;
        self.latest(name).await
    }

    /// Polls until a published version is in this state.
    pub async fn until_published(&self, name: &str, number: u32, status: Status) -> VersionRecord {
        let find = async || {
            let function = self.store.function(&key(name)).await.unwrap();
            function.version(VersionName::Number(number)).cloned()
        };
        let wanted = async || find().await.is_some_and(|version| version.status == status);
        until(&format!("version {number} of {name} is {}", status.as_str()), wanted).await;
        find().await.unwrap()
    }

    /// Polls until exactly these owners have pins; owners are named by function and generation.
    pub async fn until_pinned(&self, owners: &[(&VersionRecord, u64)]) {
        let owner = |(version, generation): &(&VersionRecord, u64)| {
            format!("function/{}/{}/{generation}", version.function_id, version.version)
        };
        let mut wanted: Vec<_> = owners.iter().map(owner).collect();
        wanted.sort();
        until(&format!("{wanted:?} are pinned"), async || self.images.pinned() == wanted).await;
    }
}

/// Key of the preparation that the version awaits, or awaited last.
pub fn version_key(version: &VersionRecord) -> VersionKey {
    VersionKey { function_id: version.function_id.clone(), version: version.version, generation: version.generation }
}

/// Polls a condition until it holds.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "it did not come true that {what}");
}

pub fn key(name: &str) -> FunctionKey {
    FunctionKey { namespace: Namespace::default_namespace(), name: name.parse().unwrap() }
}

fn spec(uri: &str) -> VersionSpec {
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
        environment: Vec::new(),
        concurrency: None,
        carried: serde_json::Map::new(),
        extras: types::Extras::default(),
    }
}
