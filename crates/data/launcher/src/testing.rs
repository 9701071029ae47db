//! Shared fixtures of this crate's tests: a version, and a machine without a kernel behind it.

use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image::RunConfig;
use pool::{BoxFuture, Process};
use sandbox::{LaunchSpec, Listener, Mount, NotListening};
use tokio::sync::watch;
use tokio::time::sleep;
use types::{
    CatalogVersion, Digest, ExitStatus, FunctionId, FunctionKey, FunctionKind, FunctionRecord, ImageSpec, ImageType,
    Installation, Namespace, NetworkBytes, PinnedImage, VersionKey, VersionName, VersionSpec,
};

use crate::failure::Failure;
use crate::machine::{Held, LocalProcess, Machine, Root, TmpDisk};
use crate::stop::StopPolicy;

pub(crate) fn platform() -> Installation {
    Installation { region: "ap-guangzhou".into(), app_id: "1250000000".into(), uin: "100000000001".into() }
}

/// `hello`, 128 MB, 90 s to start.
pub(crate) fn version() -> CatalogVersion {
    let function = FunctionRecord {
        id: FunctionId::random(),
        key: FunctionKey { namespace: Namespace::default_namespace(), name: "hello".parse().unwrap() },
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
        uri: "localhost/hello".into(),
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
        carried: Default::default(),
        extras: types::Extras::default(),
    };
    CatalogVersion {
        key: VersionKey { function_id: function.id.clone(), version: VersionName::Latest, generation: 1 },
        function: Arc::new(function),
        spec,
        image: PinnedImage { digest: Digest::from_sha256(&[7; 32]), size_bytes: 1 },
    }
}

/// Behaviour of the fake sandbox's program.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    Listens,
    /// Listens on another port only.
    ListensOn(u16),
    /// Writes and ends.
    Ends {
        last_words: &'static str,
        ended: ExitStatus,
    },
    /// Listens, writes and ends.
    ListensAndEnds {
        last_words: &'static str,
        ended: ExitStatus,
    },
    /// Is never started.
    NeverRuns,
    CannotRun(Failure),
}

/// A fake machine.
#[derive(Clone)]
pub(crate) struct FakeMachine {
    pub(crate) program: Program,
    pub(crate) image: Result<RunConfig, Failure>,
    /// Running sandboxes, and held roots.
    pub(crate) running: Arc<AtomicUsize>,
    pub(crate) roots: Arc<AtomicUsize>,
}

impl FakeMachine {
    pub(crate) fn new(program: Program) -> Self {
        let image = RunConfig { entrypoint: vec!["/server".into()], ..RunConfig::default() };
        Self { program, image: Ok(image), running: Arc::default(), roots: Arc::default() }
    }

    pub(crate) fn held(&self) -> (usize, usize) {
        (self.running.load(Ordering::SeqCst), self.roots.load(Ordering::SeqCst))
    }
}

/// Increments a counter while it exists.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Machine for FakeMachine {
    fn root<'a>(&'a self, _digest: &'a Digest) -> BoxFuture<'a, Result<Root, Failure>> {
        let run = self.image.clone().map(Arc::new);
        let held = Box::new(Counted::new(&self.roots));
        Box::pin(async move {
            Ok(Root { lower_dirs: vec!["/layers/1".into()], run: run?, facts: Arc::default(), _held: held })
        })
    }

    fn mounts<'a>(&'a self, mounts: &'a [types::Mount]) -> BoxFuture<'a, Result<Vec<Mount>, Failure>> {
        Box::pin(async move {
            match mounts.first() {
                None => Ok(Vec::new()),
                Some(mount) => Err(Failure::init(format!("there is no volume {}", mount.volume))),
            }
        })
    }

    fn tmp_disk(&self, size_mb: u32) -> BoxFuture<'_, Result<TmpDisk, Failure>> {
        Box::pin(async move { Err(Failure::resources(format!("there are no {size_mb} MB of disk"))) })
    }

    fn start(
        &self,
        spec: LaunchSpec,
        port: u16,
        stop: StopPolicy,
    ) -> BoxFuture<'_, Result<Arc<dyn LocalProcess>, Failure>> {
        Box::pin(async move {
            let (ended, _) = watch::channel(None);
            match &self.program {
                Program::NeverRuns => std::future::pending().await,
                Program::CannotRun(failure) => return Err(failure.clone()),
                Program::Ends { last_words, ended: how } | Program::ListensAndEnds { last_words, ended: how } => {
                    File::from(spec.stdout).write_all(last_words.as_bytes()).unwrap();
                    ended.send_replace(Some(*how));
                }
                Program::Listens | Program::ListensOn(_) => {
                    writeln!(File::from(spec.stdout), "argv {:?}", spec.argv).unwrap();
                }
            }
            let runs = !matches!(self.program, Program::Ends { .. } | Program::ListensAndEnds { .. });
            let counted = Mutex::new(runs.then(|| Counted::new(&self.running)));
            let program = self.program.clone();
            Ok(Arc::new(FakeProcess { program, port, stop, ended, counted }) as Arc<dyn LocalProcess>)
        })
    }
}

struct FakeProcess {
    program: Program,
    port: u16,
    stop: StopPolicy,
    ended: watch::Sender<Option<ExitStatus>>,
    counted: Mutex<Option<Counted>>,
}

impl Drop for FakeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl LocalProcess for FakeProcess {
    fn wait_listening(&self, timeout: Duration) -> BoxFuture<'_, Result<(), NotListening>> {
        Box::pin(async move {
            match &self.program {
                Program::Ends { ended, .. } => Err(NotListening::Ended(*ended)),
                Program::ListensOn(other) if *other != self.port => {
                    sleep(timeout).await;
                    Err(NotListening::TimedOut(vec![Listener { address: Ipv4Addr::LOCALHOST.into(), port: *other }]))
                }
                _ => Ok(()),
            }
        })
    }

    fn hold_until_ended(&self, held: Held) {
        let mut ended = self.ended.subscribe();
        tokio::spawn(async move {
            ended.wait_for(Option::is_some).await.ok();
            drop(held);
        });
    }
}

impl Process for FakeProcess {
    fn connect(&self) -> BoxFuture<'_, io::Result<tokio::net::TcpStream>> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }

    fn ended(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(async {
            let mut ended = self.ended.subscribe();
            let ended = ended.wait_for(Option::is_some).await.expect("the sender is in self");
            ended.expect("waited for")
        })
    }

    fn kill(&self) {
        self.counted.lock().unwrap().take();
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(ExitStatus { code: None, signal: Some(9), out_of_memory: false });
            first
        });
    }

    fn stop(&self, _longest: Duration) {
        self.kill();
    }

    fn stop_grace(&self) -> Duration {
        self.stop.grace
    }

    fn freeze(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn thaw(&self) -> io::Result<()> {
        Ok(())
    }

    fn out_of_memory(&self) -> bool {
        false
    }

    fn memory_peak_bytes(&self) -> u64 {
        2_000
    }

    fn network_bytes(&self) -> NetworkBytes {
        NetworkBytes { sent: 300, received: 400 }
    }
}
