//! One start, from version to open port, and the error when it fails.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use logs::Logs;
use pool::{BoxFuture, ColdStart, Launch, LaunchError, Launched};
use sandbox::{EgressSpec, HostAccess, LaunchSpec, NotListening, Refused};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;
use types::{CatalogVersion, Egress, ExitStatus, Installation, InstanceId, RequestId, tags};

use crate::Config;
use crate::argv::argv;
use crate::class;
use crate::environment::environment;
use crate::failure::{Failure, last_output};
use crate::limits::{cpu_quota_us, cpu_start_quota_us, memory_bytes};
use crate::machine::{Held, LocalProcess, Machine, Root};
use crate::network::{egress, gateway_ports, is_linked, refusal};
use crate::output::Output;
use crate::secrets::{self, SecretReader, SecretValues};
use crate::stop::stop_policy;

/// Starts instances on this machine; cheap to clone.
#[derive(Clone)]
pub struct Launcher(Arc<Inner>);

struct Inner {
    machine: Box<dyn Machine>,
    logs: Logs,
    platform: Installation,
    config: Config,
    secrets: Option<Arc<dyn SecretValues>>,
}

impl Launcher {
    /// A launcher on any machine.
    pub(crate) fn on(machine: impl Machine, logs: Logs, platform: Installation, config: Config) -> Self {
        Self(Arc::new(Inner { machine: Box::new(machine), logs, platform, config, secrets: None }))
    }

    /// The launcher with secrets for its instances. To be called before it is cloned.
    pub fn with_secrets(mut self, secrets: Arc<dyn SecretValues>) -> Self {
        Arc::get_mut(&mut self.0).expect("nothing has cloned it yet").secrets = Some(secrets);
        self
    }
}

impl Launch for Launcher {
    fn launch(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.0.launch(id, version, first_request, Purpose::Calls)
    }

    fn launch_job(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
        event: Bytes,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.0.launch(id, version, request, Purpose::Job(event))
    }

    fn launch_check(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.0.launch(id, version, request, Purpose::Check)
    }
}

/// The purpose of a start.
enum Purpose {
    Calls,
    /// One event, passed in the environment: a job image has no server.
    Job(Bytes),
    /// A start check of the version.
    Check,
}

impl Inner {
    fn launch(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        first_request: RequestId,
        purpose: Purpose,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        let span = tracing::info_span!(
            "cold_start",
            request = %first_request,
            function = %version.function.key,
            version = %version.key.version,
            instance = %id
        );
        let launch = async move {
            let mut start = Start {
                launcher: self,
                id,
                version: &version,
                first_request,
                purpose,
                cold_start: ColdStart::default(),
                peak_bytes: 0,
            };
            match start.run().await {
                Ok(process) => Ok(Launched { process, cold_start: start.cold_start }),
                Err(Failure { status, message, detail }) => {
                    let Start { cold_start, peak_bytes, .. } = start;
                    Err(LaunchError { status, message, detail, cold_start, peak_bytes })
                }
            }
        };
        Box::pin(launch.instrument(span))
    }
}

/// A start in progress. Its resources are released when its future is dropped: the root, the
/// reader, the sandbox.
struct Start<'a> {
    launcher: &'a Inner,
    id: InstanceId,
    version: &'a CatalogVersion,
    first_request: RequestId,
    purpose: Purpose,
    cold_start: ColdStart,
    peak_bytes: u64,
}

impl Start<'_> {
    async fn run(&mut self) -> Result<Arc<dyn LocalProcess>, Failure> {
        let served = self.port()?;
        // No client connects to an instance of a job image.
        let port = served.unwrap_or_default();
        let begun = Instant::now();
        let root = self.launcher.machine.root(&self.version.image.digest).await?;
        self.cold_start.pull = begun.elapsed();

        let begun = Instant::now();
        let init_timeout_s = self.version.spec.init_timeout_s;
        let deadline = begun + Duration::from_secs(u64::from(init_timeout_s));
        let argv = argv(&self.version.spec.image, &root.run).map_err(|error| Failure::init(error.to_string()))?;
        let runtime = class::runtime(&self.launcher.config, &self.version.function.tags)?;
        let stop = stop_policy(root.run.stop_signal_number(), &self.version.function.tags, &self.launcher.config);
        let (output, stdio) = self.attach()?;
        let mut spec = LaunchSpec { runtime, ..self.spec(&root, argv, stdio) };
        let reader = SecretReader { version: self.version, instance: &self.id };
        secrets::resolve(&mut spec.env, reader, self.launcher.secrets.as_deref())?;
        spec.secrets = secrets::files(reader, self.launcher.secrets.as_deref())?;
        let machine = &self.launcher.machine;
        let started = timeout_at(deadline, async {
            let extras = &self.version.spec.extras;
            let mounts = machine.mounts(&extras.mounts).await?;
            let (tmp, tmp_disk) = match extras.tmp_mb {
                None => (None, None),
                Some(size_mb) => machine.tmp_disk(size_mb).await.map(|disk| (Some(disk.mount), Some(disk.held)))?,
            };
            Ok((machine.start(LaunchSpec { mounts, tmp, ..spec }, port, stop).await?, tmp_disk))
        });
        let started = started.await;
        self.cold_start.runtime = begun.elapsed();
        let (process, tmp_disk) = started.map_err(|_| Failure::slow_start(init_timeout_s))??;
        process.hold_until_ended(Held { _output: output, _root: root, _tmp_disk: tmp_disk });

        if served.is_none() {
            return Ok(process);
        }
        let begun = Instant::now();
        let listening = process.wait_listening(deadline.saturating_duration_since(begun)).await;
        self.cold_start.function = begun.elapsed();
        match listening {
            Ok(()) => self.stays(process, port).await,
            Err(why) => Err(self.not_listening(&*process, port, why).await),
        }
    }

    /// For a start check, waits until the instance has lived for a moment after its server
    /// listened.
    async fn stays(&mut self, process: Arc<dyn LocalProcess>, port: u16) -> Result<Arc<dyn LocalProcess>, Failure> {
        let alive_ms = self.launcher.config.start_check_alive_ms;
        if alive_ms == 0 || !matches!(self.purpose, Purpose::Check) {
            return Ok(process);
        }
        match timeout(Duration::from_millis(alive_ms), process.ended()).await {
            Err(_) => Ok(process),
            Ok(ended) => {
                let last = self.last_output(&*process).await;
                Err(Failure::ended_early(&ended, port, self.version.spec.memory_mb, self.peak_bytes, &last))
            }
        }
    }

    /// The event that the instance is for.
    fn event(&self) -> Option<&Bytes> {
        match &self.purpose {
            Purpose::Job(event) => Some(event),
            Purpose::Calls | Purpose::Check => None,
        }
    }

    /// The port of its server; `None` for a job image, which has none.
    fn port(&self) -> Result<Option<u16>, Failure> {
        if self.event().is_some() && self.version.spec.image.is_job() {
            return Ok(None);
        }
        let port = self.version.spec.image.port;
        let served = u16::try_from(port).ok().filter(|port| *port != 0).map(Some);
        served.ok_or_else(|| {
            Failure::init(format!(
                "ImagePort {port} is no port of a server; set it to 9000 or to where the image listens"
            ))
        })
    }

    /// Creates the instance's pipes; output before it serves belongs to the first request.
    fn attach(&self) -> Result<(Output, logs::Stdio), Failure> {
        let logs = &self.launcher.logs;
        let stdio = logs.attach(&self.id, &self.version.function, self.version.key.version).map_err(|error| {
            tracing::error!(instance = %self.id, error = &error as &dyn std::error::Error, "cannot attach output");
            Failure::resources("no instance can be started now").with_detail(format!(": {error}"))
        })?;
        logs.assign(&self.id, Some(&self.first_request));
        Ok((Output::new(logs.clone(), self.id.clone()), stdio))
    }

    fn spec(&self, root: &Root, argv: Vec<String>, stdio: logs::Stdio) -> LaunchSpec {
        let (config, spec) = (&self.launcher.config, &self.version.spec);
        LaunchSpec {
            id: self.id.clone(),
            owner: self.version.function.key.to_string(),
            lower_dirs: root.lower_dirs.clone(),
            argv,
            env: environment(&root.run.env, self.version, &self.launcher.platform, self.event().map(AsRef::as_ref)),
            working_dir: root.run.working_dir.clone(),
            volumes: root.run.volumes.clone(),
            mounts: Vec::new(),
            tmp: None,
            secrets: Vec::new(),
            root_facts: root.facts.clone(),
            user: root.run.user.clone(),
            hostname: self.id.to_string(),
            memory_bytes: memory_bytes(spec.memory_mb),
            cpu_quota_us: cpu_quota_us(spec, config),
            cpu_start_quota_us: match self.event() {
                // A job does its work from the start, so its start has no extra CPU time.
                Some(_) => cpu_quota_us(spec, config),
                None => cpu_start_quota_us(spec, config),
            },
            pids_max: spec.extras.pids_max.map_or(config.pids_max, u64::from),
            files_max: spec.extras.files_max.map_or(config.files_max, u64::from),
            shm_bytes: spec.extras.shm_mb.map(memory_bytes),
            runtime: None,
            init: tags::init(&self.version.function.tags).unwrap_or(false),
            public_network: is_linked(spec),
            egress: egress(spec).map(|list| self.egress(list)),
            host_access: Some(self.host_access()),
            stdout: stdio.stdout,
            stderr: stdio.stderr,
        }
    }

    /// Its egress list; refused connections are written to its log.
    fn egress(&self, list: Egress) -> EgressSpec {
        let (logs, id) = (self.launcher.logs.clone(), self.id.clone());
        let refused = move |refused: &Refused| logs.about(&id, &refusal(refused));
        EgressSpec { owner: self.version.function.key.to_string(), list, refused: Arc::new(refused) }
    }

    /// Ports of this machine that the function requested, and those of the gateway; refused
    /// connections are written to its log.
    fn host_access(&self) -> HostAccess {
        let (logs, id) = (self.launcher.logs.clone(), self.id.clone());
        HostAccess {
            ports: self.version.spec.extras.host_ports.clone(),
            gateway_ports: gateway_ports(&self.version.spec),
            report: Box::new(move |line| logs.about(&id, line)),
        }
    }

    async fn not_listening(&mut self, process: &dyn LocalProcess, port: u16, why: NotListening) -> Failure {
        let spec = &self.version.spec;
        match why {
            NotListening::Ended(ended) => {
                let last = self.last_output(process).await;
                Failure::ended(&ended, port, spec.memory_mb, self.peak_bytes, &last)
            }
            NotListening::TimedOut(open) => {
                let open: Vec<_> = open.iter().map(|at| SocketAddr::new(at.address, at.port)).collect();
                process.kill();
                let wait = Duration::from_millis(self.launcher.config.kill_wait_ms_max);
                // It may have run out of memory just then, which is the better explanation.
                let ended = timeout(wait, process.ended()).await;
                let last = self.last_output(process).await;
                match ended {
                    Ok(ended @ ExitStatus { out_of_memory: true, .. }) => {
                        Failure::ended(&ended, port, spec.memory_mb, self.peak_bytes, &last)
                    }
                    _ => Failure::not_listening(port, spec.init_timeout_s, &open, &last),
                }
            }
        }
    }

    /// The last lines of an ended instance, after all of its output was recorded.
    async fn last_output(&mut self, process: &dyn LocalProcess) -> String {
        self.peak_bytes = process.memory_peak_bytes();
        let Inner { logs, config, .. } = self.launcher;
        logs.settle(&self.id);
        last_output(&logs.tail(&self.first_request, config.last_output_bytes_max), config.last_output_lines_max)
    }
}
