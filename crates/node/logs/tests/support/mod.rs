//! Fixtures of the public handle's tests: a log in its own directory, invocations in one call, and
//! an instance's end of the pipes.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logs::{Begin, Config, End, Invocation, Logs, Page, Query};
use types::{
    FunctionId, FunctionKey, FunctionKind, FunctionRecord, InstanceId, Namespace, Qualifier, RequestId, RunStatus,
    VersionName,
};

/// A namespace's function.
pub fn function(name: &str) -> Arc<FunctionRecord> {
    Arc::new(FunctionRecord {
        id: FunctionId::random(),
        key: FunctionKey { namespace: Namespace::default_namespace(), name: name.parse().unwrap() },
        kind: FunctionKind::Event,
        protocol: None,
        async_run: false,
        trace: false,
        tags: Vec::new(),
        added_ms: 0,
        modified_ms: 0,
    })
}

pub async fn open(dir: &Path, config: Config) -> Logs {
    Logs::open(dir, config).await.unwrap()
}

/// Begins an invocation of `function` at `start_ms`.
pub fn begin(logs: &Logs, function: &Arc<FunctionRecord>, start_ms: i64) -> RequestId {
    let request_id = RequestId::random();
    begin_with(logs, function, start_ms, &request_id, false);
    request_id
}

fn begin_with(logs: &Logs, function: &Arc<FunctionRecord>, start_ms: i64, request_id: &RequestId, start_line: bool) {
    logs.begin(Begin {
        request_id: request_id.clone(),
        function: function.clone(),
        version: VersionName::Latest,
        qualifier: Qualifier::Alias("$DEFAULT".into()),
        start_ms,
        start_line,
        retry_num: 0,
    });
}

pub fn end(logs: &Logs, request: &RequestId, status: RunStatus) {
    end_with(logs, request, status, format!("ret of {request}"), None);
}

fn end_with(logs: &Logs, request: &RequestId, status: RunStatus, ret_msg: String, report_memory_mb: Option<u32>) {
    logs.finish(
        request,
        End {
            status,
            ret_msg,
            duration_us: 1_500,
            bill_duration_ms: 2,
            memory_bytes: 1 << 20,
            closing: Vec::new(),
            report_memory_mb,
        },
    );
}

/// A whole invocation with the platform's lines.
pub fn invoke(logs: &Logs, function: &Arc<FunctionRecord>, start_ms: i64) -> RequestId {
    let id = RequestId::random();
    begin_with(logs, function, start_ms, &id, true);
    end_with(logs, &id, RunStatus::Success, format!("ret of {id}"), Some(128));
    id
}

/// The same for a web request, whose response is not recorded.
pub fn invoke_web(logs: &Logs, function: &Arc<FunctionRecord>, start_ms: i64) -> RequestId {
    let id = begin_web(logs, function, start_ms);
    end_web(logs, &id);
    id
}

/// Begins a web request with its platform line.
pub fn begin_web(logs: &Logs, function: &Arc<FunctionRecord>, start_ms: i64) -> RequestId {
    let id = RequestId::random();
    begin_with(logs, function, start_ms, &id, true);
    id
}

/// Ends a web request.
pub fn end_web(logs: &Logs, id: &RequestId) {
    end_with(logs, id, RunStatus::Success, String::new(), Some(128));
}

pub fn everything() -> Query {
    Query { limit: 10_000, ..Query::latest(Namespace::default_namespace()) }
}

pub async fn all(logs: &Logs) -> Page {
    logs.invocations(everything()).await.unwrap()
}

pub async fn one(logs: &Logs, request: &RequestId) -> Invocation {
    let query = Query { request_id: Some(request.clone()), ..everything() };
    let page = logs.invocations(query).await.unwrap();
    assert_eq!(page.total, 1, "invocations of {request}");
    page.invocations.into_iter().next().unwrap()
}

/// An instance as the logs see it.
pub struct Instance {
    pub id: InstanceId,
    pub stdout: File,
    pub stderr: File,
}

impl Instance {
    pub fn attach(logs: &Logs, function: &Arc<FunctionRecord>) -> Self {
        let id = InstanceId::random();
        let stdio = logs.attach(&id, function, VersionName::Latest).unwrap();
        let file = |fd: OwnedFd| File::from(fd);
        Self { id, stdout: file(stdio.stdout), stderr: file(stdio.stderr) }
    }

    pub fn print(&mut self, text: &str) {
        self.stdout.write_all(text.as_bytes()).unwrap();
    }
}

/// Files of the segments, sorted.
pub fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("segments")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}
