//! The process that is killed: accepts events as fast as it can, and runs them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use events::{Accepted, Address, Attempt, BoxFuture, Config, Events, InvokeType, NewEvent, Outcome, Run, SourceKey};
use types::{FunctionKey, Qualifier, RequestId, RunStatus};

use crate::books::Books;

/// Where its files are.
pub const FOLDER: &str = "SAMPAN_STORM_FOLDER";
/// `load`, or `drain` for the last one.
pub const MODE: &str = "SAMPAN_STORM_MODE";
/// Tasks that accept events.
const CLIENTS: usize = 16;
/// Functions that events are for.
const FUNCTIONS: usize = 5;
/// Longest run.
const RUN_MS_MAX: u64 = 20;

/// Does nothing unless the storm started it.
#[test]
fn a_process_with_a_queue() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let drains = std::env::var(MODE).is_ok_and(|mode| mode == "drain");
    runtime.block_on(process(PathBuf::from(folder), drains));
}

async fn process(folder: PathBuf, drains: bool) {
    let run = Arc::new(Noted(notes(&folder, "runs")));
    // A storm kills far more often than a platform normally ends.
    let config = Config { recoveries_max: u32::MAX, ..Config::default() };
    let events = Events::open(folder.join("events.db"), run, config).await.unwrap();
    if drains {
        while events.waiting(None) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(events.drain(Duration::from_secs(60)).await);
        return;
    }
    // As a client does whose call was not answered.
    for key in Books::read(&folder).unanswered {
        accept(&events, &folder, &key).await;
    }
    let clients = (0..CLIENTS).map(|client| {
        let (events, folder) = (events.clone(), folder.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let key = format!("{}-{client}-{number}", std::process::id());
                writeln!(notes(&folder, "sent"), "{key}").unwrap();
                accept(&events, &folder, &key).await;
            }
        })
    });
    futures_util::future::join_all(clients).await;
}

async fn accept(events: &Events, folder: &Path, key: &str) {
    let request_id = RequestId::random();
    let function = key.bytes().map(usize::from).sum::<usize>() % FUNCTIONS;
    let name = format!("f{function}").parse().unwrap();
    let event = NewEvent {
        request_id: request_id.clone(),
        address: Address {
            function: FunctionKey { namespace: "default".parse().unwrap(), name },
            function_id: format!("lam-0000000{function}").parse().unwrap(),
            qualifier: Qualifier::LATEST,
        },
        invoke_type: InvokeType::Invoke,
        payload: key.as_bytes().to_vec().into(),
        retries_max: 2,
        ttl_s: 21_600,
        delay_s: 0,
    };
    let source = SourceKey { source: "idempotency".into(), key: key.to_owned() };
    let id = match events.accept_once(event, source).await.unwrap() {
        Accepted::New => request_id,
        Accepted::Before(first) => first,
    };
    writeln!(notes(folder, "acknowledged"), "{key} {id}").unwrap();
}

/// One write call for each line, so that lines are complete.
fn notes(folder: &Path, name: &str) -> std::io::LineWriter<File> {
    let file = OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap();
    std::io::LineWriter::new(file)
}

/// Records each run when it begins.
struct Noted(std::io::LineWriter<File>);

impl Run for Noted {
    fn run(&self, attempt: Attempt) -> BoxFuture<Outcome> {
        let line = format!("{} {}\n", attempt.request_id, String::from_utf8_lossy(&attempt.payload));
        self.0.get_ref().write_all(line.as_bytes()).unwrap();
        let ms = line.bytes().map(u64::from).sum::<u64>() % RUN_MS_MAX;
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            let status = RunStatus::Success;
            Outcome {
                status,
                ret_msg: "done".to_owned(),
                error_message: None,
                exit: None,
                retry_after: None,
                web: None,
            }
        })
    }
}
