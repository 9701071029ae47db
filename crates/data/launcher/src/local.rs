//! The real machine: implements the interface of a start with images and sandboxes of this host.
//! Decides only how their errors map to failures for the caller.

use std::collections::HashMap;
use std::sync::Arc;

use image::Images;
use logs::Logs;
use parking_lot::Mutex;
use pool::BoxFuture;
use sandbox::{LaunchSpec, Mount, RootFacts, Sandboxes};
use types::{Digest, Installation, RunStatus, error_chain};
use volumes::Volumes;

use crate::failure::Failure;
use crate::machine::{LocalProcess, Machine, Root, TmpDisk};
use crate::process::SandboxProcess;
use crate::stop::StopPolicy;
use crate::{Config, Launcher};

impl Launcher {
    /// A launcher on this machine.
    pub fn new(
        images: Images,
        sandboxes: Sandboxes,
        volumes: Volumes,
        logs: Logs,
        platform: Installation,
        config: Config,
    ) -> Launcher {
        let known = KnownRoots::new(config.known_roots_max);
        Self::on(LocalMachine { images, sandboxes, volumes, known }, logs, platform, config)
    }
}

struct LocalMachine {
    images: Images,
    sandboxes: Sandboxes,
    volumes: Volumes,
    known: KnownRoots,
}

impl Machine for LocalMachine {
    fn root<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Root, Failure>> {
        Box::pin(async move {
            let rootfs = self.images.rootfs(digest).await.map_err(|error| image_failure(&error))?;
            let facts = self.known.of(digest);
            Ok(Root { lower_dirs: rootfs.lower_dirs.clone(), run: rootfs.run.clone(), facts, _held: Box::new(rootfs) })
        })
    }

    fn mounts<'a>(&'a self, mounts: &'a [types::Mount]) -> BoxFuture<'a, Result<Vec<Mount>, Failure>> {
        Box::pin(async move {
            // A handover to another thread and back takes five times as long as a lookup.
            if mounts.iter().all(|one| self.volumes.is_local(&one.volume)) {
                return mounts.iter().map(|one| mount(&self.volumes, one)).collect();
            }
            // The file system of a volume may be remote, and block.
            let (volumes, mounts) = (self.volumes.clone(), mounts.to_vec());
            let found = tokio::task::spawn_blocking(move || mounts.iter().map(|one| mount(&volumes, one)).collect());
            found.await.unwrap_or_else(|_| Err(Failure::resources("the platform is stopping")))
        })
    }

    fn tmp_disk(&self, size_mb: u32) -> BoxFuture<'_, Result<TmpDisk, Failure>> {
        let volumes = self.volumes.clone();
        let taken = |disk: volumes::TmpDisk| TmpDisk { mount: disk.mount, held: Box::new(disk.lease) };
        Box::pin(async move {
            if let Some(disk) = volumes.ready_tmp_disk(size_mb.into()) {
                return Ok(taken(disk));
            }
            let made = tokio::task::spawn_blocking(move || volumes.tmp_disk(size_mb.into()));
            match made.await {
                Ok(Ok(disk)) => Ok(taken(disk)),
                Ok(Err(error)) => Err(no_tmp_disk(&error)),
                Err(_) => Err(Failure::resources("the platform is stopping")),
            }
        })
    }

    fn start(
        &self,
        spec: LaunchSpec,
        port: u16,
        stop: StopPolicy,
    ) -> BoxFuture<'_, Result<Arc<dyn LocalProcess>, Failure>> {
        Box::pin(start(&self.sandboxes, spec, port, stop))
    }
}

/// Facts that starts have found in the roots of images, by digest: the digest identifies the
/// contents.
struct KnownRoots {
    known: Mutex<HashMap<Digest, Arc<RootFacts>>>,
    known_max: usize,
}

impl KnownRoots {
    fn new(known_max: usize) -> Self {
        Self { known: Mutex::default(), known_max }
    }

    fn of(&self, digest: &Digest) -> Arc<RootFacts> {
        let mut known = self.known.lock();
        if let Some(facts) = known.get(digest) {
            return facts.clone();
        }
        // Recomputing an entry takes microseconds, so any may be dropped.
        if known.len() >= self.known_max {
            known.clear();
        }
        known.entry(digest.clone()).or_default().clone()
    }
}

fn mount(volumes: &Volumes, mount: &types::Mount) -> Result<Mount, Failure> {
    let source = volumes.source(mount).map_err(|error| unusable_volume(&error.report()))?;
    Ok(Mount {
        name: mount.volume.to_string(),
        source: source.dir,
        target: mount.path.clone(),
        read_only: source.read_only,
        owner: source.owner,
    })
}

/// Paths of the machine are for the function's owner.
fn unusable_volume(why: &str) -> Failure {
    Failure::init("a volume of the function cannot be used").with_detail(format!(": {why}"))
}

/// Lack of disk space at the moment is an error that callers may retry; otherwise no instance can
/// ever start, and the deploy fails with the reason.
fn no_tmp_disk(error: &volumes::Error) -> Failure {
    tracing::warn!(error = error.report(), "no disk for /tmp of an instance");
    let failure = match error.is_exhaustion() {
        true => Failure::resources("no instance can be started now"),
        false => Failure::init("a /tmp on disk cannot be made on this machine"),
    };
    failure.with_detail(format!(": {}", error.report()))
}

/// Starts a sandbox on the machine.
pub(crate) async fn start(
    sandboxes: &Sandboxes,
    spec: LaunchSpec,
    port: u16,
    stop: StopPolicy,
) -> Result<Arc<dyn LocalProcess>, Failure> {
    let sandbox = sandboxes.launch(spec).await.map_err(|error| sandbox_failure(&error))?;
    Ok(Arc::new(SandboxProcess::new(sandbox, port, stop)))
}

/// A missing or damaged image has its own codes, from the image crate.
fn image_failure(error: &image::Error) -> Failure {
    Failure::new(error.run_status(), "the function's image cannot be used").with_detail(format!(": {}", error.report()))
}

/// Errors of the image or its configuration are shown to the function's owner in full; a full
/// machine is reported as such; of other errors the owner sees the failed operation, and the
/// operator everything. Callers see only which of these it is.
fn sandbox_failure(error: &sandbox::Error) -> Failure {
    if error.is_images_fault() {
        let message = "the container cannot be started as the image and the function's configuration say";
        return Failure::init(message)
            .with_detail(format!(": {}; check Command, Args and the image", error_chain(error)));
    }
    if matches!(error, sandbox::Error::Mount { .. }) && !error.is_exhaustion() {
        return unusable_volume(&error_chain(error));
    }
    if error.is_exhaustion() || matches!(error, sandbox::Error::Stopping) {
        return Failure::resources("no instance can be started now").with_detail(format!(": {}", error_chain(error)));
    }
    tracing::error!(error = error_chain(error), "cannot start an instance");
    if error.is_disk_failure() {
        let message = "the disk of this machine, or the file system on it, fails";
        return Failure::new(RunStatus::InternalError, message).with_detail(format!(": {}", error_chain(error)));
    }
    Failure::new(RunStatus::InternalError, "cannot start an instance")
        .with_detail(format!(": {error}; see the platform's log"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_starts_of_an_image_share_what_they_found_and_few_images_are_known() {
        let known = KnownRoots::new(2);
        let digest = |number| Digest::from_sha256(&[number; 32]);
        let first = known.of(&digest(1));
        assert!(Arc::ptr_eq(&first, &known.of(&digest(1))) && !Arc::ptr_eq(&first, &known.of(&digest(2))));
        known.of(&digest(3));
        assert!(!Arc::ptr_eq(&first, &known.of(&digest(1))), "forgotten");
    }

    #[test]
    fn each_kind_of_error_has_its_code_and_says_what_failed() {
        let missing = sandbox::Error::Execute { program: "/server".into(), reason: "no such file".into() };
        let failure = sandbox_failure(&missing);
        assert_eq!(failure.status, RunStatus::ContainerInitError);
        assert!(failure.detail.contains("\"/server\": no such file; check Command"), "{}", failure.detail);
        assert!(!failure.message.contains("/server"), "paths of the image are for its owner: {}", failure.message);

        let denied = io::Error::from_raw_os_error(13);
        let working_dir = sandbox::Error::WorkingDir { path: "/app".into(), source: denied };
        let failure = sandbox_failure(&working_dir);
        assert!(failure.detail.contains("\"/app\": Permission denied"), "{}", failure.detail);

        let failure = sandbox_failure(&sandbox::Error::InstancesExhausted { instances_max: 7 });
        assert_eq!(failure.status, RunStatus::InsufficientResources);
        assert_eq!(sandbox_failure(&sandbox::Error::Stopping).status, RunStatus::InsufficientResources);

        let unmappable = io::Error::from_raw_os_error(22);
        let failure = sandbox_failure(&sandbox::Error::Mount { name: "data".into(), source: unmappable });
        assert_eq!(failure.status, RunStatus::ContainerInitError);
        assert!(failure.detail.contains("the volume data: Invalid argument"), "{}", failure.detail);

        let full = volumes::Error::TmpFull { size_mb: 64, used_mb: 100, all_mb: 120 };
        assert_eq!(no_tmp_disk(&full).status, RunStatus::InsufficientResources);
        let missing = volumes::Error::Unusable { path: "/data".into(), problem: "install e2fsprogs".into() };
        let failure = no_tmp_disk(&missing);
        assert_eq!(failure.status, RunStatus::ContainerInitError);
        assert!(failure.detail.contains("e2fsprogs") && !failure.message.contains("/data"), "{}", failure.detail);

        let broken = sandbox::Error::Namespace { kind: "network", source: io::Error::from_raw_os_error(1) };
        let failure = sandbox_failure(&broken);
        assert_eq!(failure.status, RunStatus::InternalError);
        let told = failure.message + &failure.detail;
        assert!(!told.contains("Operation not permitted"), "the cause is for the operator");
    }
}
