//! Fixtures of the sandbox's tests: a static program as an image, and running it.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use sandbox::{Config, ExitStatus, LaunchSpec, NetworkConfig, Recovered, Sandbox, Sandboxes};
use tempfile::TempDir;
use types::InstanceId;

/// The compiled probe, below cargo's own folder for tests: every test is a process of its own and
/// compiles it again.
fn probe() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (beside, program) = (folder.join(format!("probe-{}", std::process::id())), folder.join("probe"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/privileged/probe.c");
        let status = Command::new("cc").args(["-static", "-O1", "-w", "-o"]).arg(&beside).arg(source).status();
        assert!(status.is_ok_and(|s| s.success()), "cc -static needs the packages gcc and libc6-dev");
        // Renamed when whole, so that a test beside this one never copies half of it.
        fs::rename(&beside, &program).expect("both are in one folder");
        program
    })
}

/// Sandboxes in a folder of their own, and a root with the probe.
pub struct Bench {
    pub sandboxes: Sandboxes,
    pub recovered: Recovered,
    pub root: PathBuf,
    /// Dropped after the sandboxes, whose threads stop with them.
    cgroups: Cgroups,
    _folder: Option<TempDir>,
}

/// The test's directories in every hierarchy. A failing test does not shut down, and its folder is
/// never opened again, so its leftovers are removed here.
struct Cgroups(Vec<PathBuf>);

impl Drop for Cgroups {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            let left: Vec<PathBuf> = self.0.iter().flat_map(|place| instances(place)).chain(self.0.clone()).collect();
            for folder in left.iter().filter(|folder| folder.exists()) {
                // The instances were killed with their sandboxes; a directory is busy until its
                // last process is gone.
                fs::remove_dir(folder).ok();
            }
            if left.iter().all(|folder| !folder.exists()) {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// The directories below one of ours.
fn instances(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

impl Bench {
    pub async fn new() -> anyhow::Result<Self> {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let bench = Self::inside(folder.path(), config).await?;
        Ok(Self { _folder: Some(folder), ..bench })
    }

    /// In a folder that stays.
    pub async fn inside(folder: &Path, config: Config) -> anyhow::Result<Self> {
        // Does not change the network of the test's machine.
        Self::connected(folder, config, NetworkConfig { enabled: false, ..NetworkConfig::default() }).await
    }

    /// The same, with egress for instances that request it.
    pub async fn connected(folder: &Path, config: Config, network: NetworkConfig) -> anyhow::Result<Self> {
        let config = Config { tmp_bytes_max: 8 << 20, writable_bytes_max: 8 << 20, ..config };
        let (sandboxes, recovered) = Sandboxes::open(&folder.join("sandbox"), config, network).await?;
        let root = folder.join("root");
        fs::create_dir_all(root.join("etc"))?;
        fs::copy(probe(), root.join("probe"))?;
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")?;
        let place = |hierarchy| Path::new("/sys/fs/cgroup").join(hierarchy).join(sandboxes.cgroup_name());
        let cgroups = Cgroups(["memory", "cpu", "cpuacct", "cpuset", "pids", "unified", ""].map(place).to_vec());
        Ok(Self { sandboxes, recovered, root, cgroups, _folder: None })
    }

    /// A spec that runs the probe with these arguments, and the reading end of its output.
    pub fn spec(&self, args: &[&str]) -> anyhow::Result<(LaunchSpec, Output)> {
        let (reader, writer) = std::io::pipe()?;
        let argv = std::iter::once("/probe").chain(args.iter().copied()).map(str::to_owned).collect();
        let spec = LaunchSpec {
            id: InstanceId::random(),
            owner: String::new(),
            lower_dirs: vec![self.root.clone()],
            argv,
            env: vec![("COLOUR".to_owned(), "red".to_owned())],
            working_dir: String::new(),
            volumes: Vec::new(),
            mounts: Vec::new(),
            tmp: None,
            secrets: Vec::new(),
            root_facts: Arc::default(),
            user: String::new(),
            hostname: "instance".to_owned(),
            memory_bytes: 64 << 20,
            cpu_quota_us: 100_000,
            cpu_start_quota_us: 100_000,
            pids_max: 100,
            files_max: 1024,
            shm_bytes: None,
            egress: None,
            runtime: None,
            init: false,
            public_network: false,
            host_access: None,
            stdout: writer.try_clone()?.into(),
            stderr: writer.into(),
        };
        Ok((spec, Output(reader)))
    }

    /// Runs the probe to its end.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<(ExitStatus, String)> {
        self.run_changed(args, |_| ()).await
    }

    pub async fn run_changed(
        &self,
        args: &[&str],
        change: impl FnOnce(&mut LaunchSpec),
    ) -> anyhow::Result<(ExitStatus, String)> {
        let (mut spec, output) = self.spec(args)?;
        change(&mut spec);
        let sandbox: Sandbox = self.sandboxes.launch(spec).await.context("launch")?;
        let text = tokio::task::spawn_blocking(move || output.text()).await??;
        Ok((sandbox.exited().await, text))
    }

    /// Shuts down and checks that the kernel holds no leftovers.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.sandboxes.shutdown().await;
        for left in self.cgroups() {
            anyhow::ensure!(!left.exists(), "{} was left", left.display());
        }
        Ok(())
    }

    /// The test's cgroup directories in this machine's hierarchies.
    pub fn cgroups(&self) -> &[PathBuf] {
        &self.cgroups.0
    }

    /// The cgroup directories that an instance is in.
    pub fn cgroups_of(&self, sandbox: &Sandbox) -> Vec<PathBuf> {
        let pid = sandbox.pid().to_string();
        let is_in = |folder: &PathBuf| {
            let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            processes.lines().any(|line| line == pid)
        };
        self.instance_cgroups().into_iter().filter(is_in).collect()
    }

    /// Cgroup directories of instances, including prewarmed ones.
    pub fn instance_cgroups(&self) -> Vec<PathBuf> {
        self.cgroups().iter().flat_map(|place| instances(place)).collect()
    }
}

/// The reading end of an instance's output.
pub struct Output(std::io::PipeReader);

impl Output {
    /// Reads the available output, without waiting for more.
    pub fn now(&mut self) -> std::io::Result<usize> {
        rustix::io::ioctl_fionread(&self.0).map_err(std::io::Error::from).and_then(|waiting| {
            let mut bytes = vec![0; usize::try_from(waiting).unwrap_or_default()];
            self.0.read_exact(&mut bytes).map(|()| bytes.len())
        })
    }

    /// Unwraps the reader.
    pub fn into_reader(self) -> std::io::PipeReader {
        self.0
    }

    pub fn text(self) -> std::io::Result<String> {
        let mut text = String::new();
        File::from(std::os::fd::OwnedFd::from(self.0)).read_to_string(&mut text)?;
        Ok(text)
    }
}
