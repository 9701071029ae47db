//! Starts on a fake machine: results, error messages, and released resources.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use image::RunConfig;
use logs::{Begin, Logs};
use pool::{Launch, LaunchError, Launched};
use tempfile::TempDir;
use tokio::time::timeout;
use types::{CatalogVersion, ExitStatus, InstanceId, Qualifier, RequestId, RunStatus};

use crate::failure::Failure;
use crate::testing::{FakeMachine, Program, platform, version};
use crate::{Config, Launcher};

const CRASH: ExitStatus = ExitStatus { code: Some(3), signal: None, out_of_memory: false };

struct Bed {
    machine: FakeMachine,
    launcher: Launcher,
    logs: Logs,
    version: CatalogVersion,
    request: RequestId,
    instance: InstanceId,
    _dir: TempDir,
}

impl Bed {
    async fn new(machine: FakeMachine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::open(dir.path(), logs::Config::default()).await.unwrap();
        let launcher = Launcher::on(machine.clone(), logs.clone(), platform(), Config::default());
        let (version, request) = (version(), RequestId::random());
        logs.begin(Begin {
            request_id: request.clone(),
            function: version.function.clone(),
            version: version.key.version,
            qualifier: Qualifier::LATEST,
            start_ms: 1,
            start_line: true,
            retry_num: 0,
        });
        Self { machine, launcher, logs, version, request, instance: InstanceId::random(), _dir: dir }
    }

    async fn with(program: Program) -> Self {
        Self::new(FakeMachine::new(program)).await
    }

    fn launch(self: &Arc<Self>) -> impl Future<Output = Result<Launched, LaunchError>> + Send + use<> {
        let bed = self.clone();
        let version = Arc::new(CatalogVersion {
            key: bed.version.key.clone(),
            function: bed.version.function.clone(),
            spec: bed.version.spec.clone(),
            image: bed.version.image.clone(),
        });
        async move { bed.launcher.launch(bed.instance.clone(), version, bed.request.clone()).await }
    }

    async fn failure(self: &Arc<Self>) -> LaunchError {
        let error = self.launch().await.err().expect("the start fails");
        self.nothing_is_held().await;
        error
    }

    /// Waits until neither a sandbox nor a root is held; the test's own time limit bounds it.
    async fn nothing_is_held(&self) {
        while self.machine.held() != (0, 0) {
            tokio::task::yield_now().await;
        }
    }

    fn log(&self) -> String {
        self.logs.tail(&self.request, 4096)
    }
}

#[tokio::test]
async fn a_started_instance_is_released_when_nobody_holds_it() {
    let bed = Arc::new(Bed::with(Program::Listens).await);
    let launched = bed.launch().await.ok().unwrap();
    assert_eq!(bed.machine.held(), (1, 1));
    bed.logs.settle(&bed.instance);
    assert!(bed.log().ends_with("\nargv [\"/server\"]\n"), "{}", bed.log());
    drop(launched);
    bed.nothing_is_held().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_of_a_job_image_waits_for_no_port() {
    let mut bed = Bed::with(Program::ListensOn(8080)).await;
    bed.version.spec.image.port = types::limits::JOB_PORT;
    let version = Arc::new(CatalogVersion {
        key: bed.version.key.clone(),
        function: bed.version.function.clone(),
        spec: bed.version.spec.clone(),
        image: bed.version.image.clone(),
    });
    let launched = bed.launcher.launch_job(bed.instance.clone(), version, bed.request.clone(), "{}".into()).await;
    let launched = launched.ok().unwrap();
    assert_eq!(launched.cold_start.function, Duration::ZERO);
    launched.process.kill();
    bed.nothing_is_held().await;
}

#[tokio::test]
async fn a_check_waits_whether_the_program_lives_on_and_a_call_does_not() {
    let program = Program::ListensAndEnds { last_words: "cannot write the pid file\n", ended: CRASH };
    let bed = Arc::new(Bed::with(program).await);
    assert!(bed.launch().await.is_ok(), "a call is answered by what listens");
    let version = Arc::new(version());
    let check =
        async |bed: &Bed| bed.launcher.launch_check(bed.instance.clone(), version.clone(), bed.request.clone()).await;
    let error = check(&bed).await.err().expect("it does not stay");
    assert_eq!(error.status, RunStatus::ContainerStateExited);
    assert_eq!(error.message, "the container exited with code 3 right after its server listened on port 9000");
    assert!(error.detail.contains("cannot write the pid file"), "{}", error.detail);
    bed.nothing_is_held().await;
    let bed = Bed::with(Program::Listens).await;
    check(&bed).await.expect("it stays").process.kill();
    bed.nothing_is_held().await;
}

#[tokio::test]
async fn a_killed_instance_ends_and_is_released() {
    let bed = Arc::new(Bed::with(Program::Listens).await);
    let process = bed.launch().await.ok().unwrap().process;
    process.kill();
    assert_eq!(process.ended().await.signal, Some(9));
    bed.nothing_is_held().await;
}

#[tokio::test]
async fn a_missing_image_fails_with_its_own_code() {
    let mut machine = FakeMachine::new(Program::Listens);
    machine.image = Err(Failure::new(RunStatus::PullImageFailed, "image sha256:07… is gone"));
    let error = Arc::new(Bed::new(machine).await).failure().await;
    assert_eq!((error.status, error.message.as_str()), (RunStatus::PullImageFailed, "image sha256:07… is gone"));
}

#[tokio::test]
async fn what_cannot_run_is_an_init_error() {
    let mut machine = FakeMachine::new(Program::Listens);
    machine.image = Ok(RunConfig::default());
    let error = Arc::new(Bed::new(machine).await).failure().await;
    assert_eq!(error.status, RunStatus::ContainerInitError);
    assert!(error.message.contains("there is nothing to run"));

    let mut bed = Bed::with(Program::Listens).await;
    bed.version.spec.image.port = -1;
    let error = Arc::new(bed).failure().await;
    assert_eq!(error.status, RunStatus::ContainerInitError);
    assert!(error.message.contains("ImagePort -1"));

    let program = Program::CannotRun(Failure::init("/server: no such file"));
    let error = Arc::new(Bed::with(program).await).failure().await;
    assert_eq!((error.status, error.message.as_str()), (RunStatus::ContainerInitError, "/server: no such file"));
}

#[tokio::test]
async fn an_early_end_tells_code_memory_and_last_output_which_is_in_the_log() {
    let program = Program::Ends { last_words: "one\nno module named app", ended: CRASH };
    let bed = Arc::new(Bed::with(program).await);
    let error = bed.failure().await;
    assert_eq!((error.status, error.peak_bytes), (RunStatus::ContainerStateExited, 2_000));
    assert!(error.message.contains("exited with code 3") && !error.message.contains("module"), "{}", error.message);
    assert!(error.detail.ends_with("Its last output:\none\nno module named app"), "{}", error.detail);
    assert!(bed.log().ends_with("\none\nno module named app\n"));
}

#[tokio::test]
async fn running_out_of_memory_at_start_has_its_own_code() {
    let program = Program::Ends { last_words: "", ended: ExitStatus { out_of_memory: true, ..CRASH } };
    let error = Arc::new(Bed::with(program).await).failure().await;
    assert_eq!(error.status, RunStatus::MemoryLimitReached);
}

#[tokio::test(start_paused = true)]
async fn a_server_on_another_port_is_named_and_killed() {
    let bed = Arc::new(Bed::with(Program::ListensOn(8080)).await);
    let error = bed.failure().await;
    assert_eq!(error.status, RunStatus::PortBindingFailed);
    assert!(error.message.contains("port 9000 was not open within 90 s"), "{}", error.message);
    assert!(error.message.contains("listens on 127.0.0.1:8080"), "{}", error.message);
    assert!(error.cold_start.function >= Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_is_not_there_in_time_is_given_up() {
    let error = Arc::new(Bed::with(Program::NeverRuns).await).failure().await;
    assert_eq!(error.status, RunStatus::InitContainerTimeout);
    assert!(error.cold_start.runtime >= Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_nobody_waits_for_any_more_leaves_nothing() {
    for program in [Program::NeverRuns, Program::ListensOn(8080)] {
        let bed = Arc::new(Bed::with(program).await);
        assert!(timeout(Duration::from_secs(1), bed.launch()).await.is_err());
        bed.nothing_is_held().await;
        // The reader is gone too: shutting down waits for all of them.
        bed.logs.shutdown().await;
    }
}
