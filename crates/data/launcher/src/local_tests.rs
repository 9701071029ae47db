//! Starts in real sandboxes, of a static program compiled here: the kernel's behaviour in each
//! case, in the contract's codes. Need root and a C compiler.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use image::RunConfig;
use logs::{Begin, Logs};
use pool::{BoxFuture, Launch, LaunchError, Launched};
use sandbox::{LaunchSpec, Sandboxes};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use types::{CatalogVersion, CommandWords, Digest, InstanceId, Qualifier, RequestId, RunStatus};

use crate::failure::Failure;
use crate::local;
use crate::machine::{LocalProcess, Machine, Root, TmpDisk};
use crate::stop::StopPolicy;
use crate::testing::{platform, version};
use crate::{Config, Launcher};

/// `serve PORT` greets each connection with the function's name, and says goodbye on SIGQUIT where
/// that is given too; `exit CODE` prints an error and ends; `hog` allocates memory.
const PROGRAM: &str = r#"
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void leave(int signal) {
    dprintf(1, "goodbye %d\n", signal);
    _exit(4);
}

int main(int argc, char **argv) {
    if (argc > 3)
        signal(SIGQUIT, leave);
    if (!strcmp(argv[1], "exit")) {
        fprintf(stderr, "no module named app\n");
        return atoi(argv[2]);
    }
    if (!strcmp(argv[1], "hog"))
        for (;;) {
            char *block = malloc(1 << 20);
            memset(block, 1, 1 << 20);
        }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int server = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 16))
        return 1;
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        int client = accept(server, 0, 0);
        const char *name = getenv("SCF_FUNCTIONNAME");
        write(client, name, strlen(name));
        close(client);
    }
}
"#;

/// A real machine whose images are one directory.
struct OneImage {
    root: PathBuf,
    run: RunConfig,
    sandboxes: Sandboxes,
}

impl Machine for OneImage {
    fn root<'a>(&'a self, _digest: &'a Digest) -> BoxFuture<'a, Result<Root, Failure>> {
        let (lower_dirs, run) = (vec![self.root.clone()], Arc::new(self.run.clone()));
        Box::pin(async { Ok(Root { lower_dirs, run, facts: Arc::default(), _held: Box::new(()) }) })
    }

    fn mounts<'a>(&'a self, _mounts: &'a [types::Mount]) -> BoxFuture<'a, Result<Vec<sandbox::Mount>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn tmp_disk(&self, _size_mb: u32) -> BoxFuture<'_, Result<TmpDisk, Failure>> {
        Box::pin(async { unreachable!("no function of these tests asks for one") })
    }

    fn start(
        &self,
        spec: LaunchSpec,
        port: u16,
        stop: StopPolicy,
    ) -> BoxFuture<'_, Result<Arc<dyn LocalProcess>, Failure>> {
        Box::pin(local::start(&self.sandboxes, spec, port, stop))
    }
}

struct Bed {
    sandboxes: Sandboxes,
    logs: Logs,
    request: RequestId,
    dir: TempDir,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        compile(dir.path());
        let sandbox_dir = dir.path().join("sandbox");
        let network = sandbox::NetworkConfig { enabled: false, ..Default::default() };
        let (sandboxes, _) = Sandboxes::open(&sandbox_dir, sandbox::Config::default(), network).await.unwrap();
        let logs = Logs::open(&dir.path().join("logs"), logs::Config::default()).await.unwrap();
        Self { sandboxes, logs, request: RequestId::random(), dir }
    }

    /// Starts `args` of the program, with the version adjusted by `change`.
    async fn launch(
        &self,
        args: &str,
        change: impl FnOnce(&mut RunConfig, &mut CatalogVersion),
    ) -> Result<Launched, LaunchError> {
        let words = format!("/program {args}");
        let entrypoint = words.split_whitespace().map(str::to_owned).collect();
        let (mut run, mut version) = (RunConfig { entrypoint, ..RunConfig::default() }, version());
        version.spec.init_timeout_s = 20;
        change(&mut run, &mut version);
        let machine = OneImage { root: self.dir.path().join("root"), run, sandboxes: self.sandboxes.clone() };
        let launcher = Launcher::on(machine, self.logs.clone(), platform(), Config::default());
        self.logs.begin(Begin {
            request_id: self.request.clone(),
            function: version.function.clone(),
            version: version.key.version,
            qualifier: Qualifier::LATEST,
            start_ms: 1,
            start_line: false,
            retry_num: 0,
        });
        launcher.launch(InstanceId::random(), Arc::new(version), self.request.clone()).await
    }

    async fn end(self) {
        while self.sandboxes.count() > 0 {
            tokio::task::yield_now().await;
        }
        self.logs.shutdown().await;
        self.sandboxes.shutdown().await;
    }
}

fn compile(dir: &Path) {
    let (source, root) = (dir.join("program.c"), dir.join("root"));
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(&source, PROGRAM).unwrap();
    std::fs::write(root.join("broken"), "neither a script nor a binary").unwrap();
    let compiled =
        Command::new("cc").args(["-static", "-w", "-O1", "-o"]).arg(root.join("program")).arg(&source).status();
    assert!(compiled.expect("a C compiler is needed: install gcc").success());
}

async fn failure(args: &str, change: impl FnOnce(&mut RunConfig, &mut CatalogVersion)) -> LaunchError {
    let bed = Bed::new().await;
    let error = bed.launch(args, change).await.err();
    bed.end().await;
    error.expect("the start fails")
}

#[tokio::test]
async fn privileged_a_server_is_reached_until_it_is_killed() {
    let bed = Bed::new().await;
    let launched = bed.launch("serve 9000", |_, _| {}).await;
    // Everything is ended before any assertion: a failed test leaves nothing on the machine.
    let seen = match &launched {
        Ok(launched) => {
            let mut greeting = String::new();
            let connection = launched.process.connect().await;
            if let Ok(mut connection) = connection {
                connection.read_to_string(&mut greeting).await.unwrap_or_default();
            }
            let peak_bytes = launched.process.memory_peak_bytes();
            launched.process.kill();
            Ok((greeting, peak_bytes, launched.process.ended().await.signal, launched.cold_start))
        }
        Err(error) => Err(error.to_string()),
    };
    let output = bed.logs.tail(&bed.request, 100);
    bed.end().await;
    let (greeting, peak_bytes, signal, cold_start) = seen.expect("the start succeeds");
    assert_eq!((greeting.as_str(), output.as_str(), signal), ("hello", "listening\n", Some(9)));
    assert!(peak_bytes > 0);
    assert!(!cold_start.runtime.is_zero() && !cold_start.function.is_zero());
}

#[tokio::test]
async fn privileged_what_is_printed_on_the_images_stop_signal_is_in_the_log() {
    let bed = Bed::new().await;
    let launched = bed.launch("serve 9000 goodbye", |run, _| run.stop_signal = "SIGQUIT".into()).await;
    let code = match &launched {
        Ok(launched) => {
            launched.process.stop(std::time::Duration::MAX);
            launched.process.ended().await.code
        }
        Err(_) => None,
    };
    // Its output has been read to the end once a wait for its end returns.
    let said = || bed.logs.tail(&bed.request, 100);
    let read = async {
        while !said().contains("goodbye") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), read).await.ok();
    let said = said();
    bed.end().await;
    assert_eq!((code, said.as_str()), (Some(4), "listening\ngoodbye 3\n"));
}

#[tokio::test]
async fn privileged_an_instance_that_nobody_holds_is_gone() {
    let bed = Bed::new().await;
    let started = bed.launch("serve 9000", |_, _| {}).await.is_ok();
    bed.end().await;
    assert!(started);
}

#[tokio::test]
async fn privileged_an_early_exit_is_405_with_code_and_last_output() {
    let error = failure("exit 3", |_, _| {}).await;
    assert_eq!(error.status, RunStatus::ContainerStateExited, "{error}");
    assert!(error.message.contains("exited with code 3"), "{error}");
    assert!(error.detail.ends_with("no module named app"), "{error}");
}

#[tokio::test]
async fn privileged_too_much_memory_at_start_is_434() {
    let error = failure("hog", |_, version| version.spec.memory_mb = 64).await;
    assert_eq!(error.status, RunStatus::MemoryLimitReached, "{error}");
    assert!(error.peak_bytes > 32 << 20, "{}", error.peak_bytes);
}

#[tokio::test]
async fn privileged_a_server_on_another_port_is_446_and_named() {
    let error = failure("serve 8080", |_, version| version.spec.init_timeout_s = 1).await;
    assert_eq!(error.status, RunStatus::PortBindingFailed, "{error}");
    assert!(error.message.contains(":8080; the server must listen on port 9000 of 0.0.0.0"), "{error}");
}

#[tokio::test]
async fn privileged_what_cannot_be_executed_is_445_and_named() {
    for (command, named) in [("/missing", "/missing"), ("/broken", "/broken"), ("/etc", "/etc"), ("nowhere", "nowhere")]
    {
        let error =
            failure("", |_, version| version.spec.image.command = Some(CommandWords::Text(command.into()))).await;
        assert_eq!(error.status, RunStatus::ContainerInitError, "{error}");
        assert!(error.detail.contains(named) && !error.message.contains(named), "{error}");
    }
}

#[tokio::test]
async fn privileged_an_unknown_user_is_445_and_named() {
    let error = failure("serve 9000", |run, _| run.user = "nobody-knows".into()).await;
    assert_eq!(error.status, RunStatus::ContainerInitError, "{error}");
    assert!(error.detail.contains("nobody-knows"), "{error}");
}
