//! Results of events whose callers no longer waited, kept on disk until they are read. Blocking.
//!
//! ```text
//! <dir>/3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11.json    one result, renamed into place when complete
//! <dir>/….tmp                                        an incomplete one; removed by the next start
//! ```
//! Kept results outlive the platform's process; files are not synced, so a power failure may lose
//! the last ones. A run in progress when the platform stopped has no result.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use types::{RequestId, RunStatus};

use crate::call::EventResult;
use crate::clock::unix_ms;
use crate::config::Config;

/// The results kept.
pub(crate) struct Results {
    dir: PathBuf,
    limits: Limits,
    /// The oldest first.
    kept: Mutex<VecDeque<Kept>>,
}

/// Their common limits.
#[derive(Debug, Clone, Copy)]
struct Limits {
    age_ms_max: i64,
    bytes_max: u64,
    results_max: usize,
}

/// The metadata of one result.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    request: RequestId,
    ended_ms: i64,
    bytes: u64,
}

/// The stored form of a result.
#[derive(Serialize, Deserialize)]
struct Stored {
    request_id: RequestId,
    status: u16,
    ret_msg: String,
    error_message: Option<String>,
    duration_us: u64,
    bill_duration_ms: u64,
    memory_bytes: u64,
}

impl Results {
    /// Opens the folder, creates it if needed, and removes results that are incomplete or over the
    /// limits.
    pub fn open(dir: PathBuf, config: &Config) -> io::Result<Self> {
        let limits = Limits {
            age_ms_max: i64::try_from(config.result_retention_s.saturating_mul(1000)).unwrap_or(i64::MAX),
            bytes_max: config.results_bytes_max,
            results_max: config.results_max,
        };
        fs::create_dir_all(&dir)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            match kept(&entry) {
                Some(result) => found.push(result),
                None => fs::remove_file(entry.path())?,
            }
        }
        found.sort_unstable_by_key(|result| result.ended_ms);
        let results = Self { dir, limits, kept: Mutex::new(found.into()) };
        results.remove_over();
        Ok(results)
    }

    /// Keeps a result, unless it exceeds the limits by itself.
    pub fn keep(&self, result: &EventResult) {
        let id = result.request_id.clone();
        match self.write(result) {
            Ok(bytes) => {
                self.kept.lock().push_back(Kept { request: id, ended_ms: unix_ms(), bytes });
                self.remove_over();
            }
            Err(error) => {
                tracing::error!(request = %id, %error, "cannot keep the result of a run whose caller stopped waiting")
            }
        }
    }

    /// Reads a kept result.
    pub fn get(&self, request: &RequestId) -> io::Result<Option<EventResult>> {
        self.remove_over();
        if !self.kept.lock().iter().any(|kept| kept.request == *request) {
            return Ok(None);
        }
        let stored: Stored = serde_json::from_slice(&fs::read(self.path(request, "json"))?)?;
        Ok(Some(stored.into()))
    }

    fn write(&self, result: &EventResult) -> io::Result<u64> {
        let bytes = serde_json::to_vec(&Stored::from(result))?;
        let unfinished = self.path(&result.request_id, "tmp");
        fs::write(&unfinished, &bytes)?;
        fs::rename(&unfinished, self.path(&result.request_id, "json"))?;
        Ok(bytes.len() as u64)
    }

    fn remove_over(&self) {
        let mut kept = self.kept.lock();
        let over = over(&kept, self.limits, unix_ms());
        for result in kept.drain(..over) {
            if let Err(error) = fs::remove_file(self.path(&result.request, "json")) {
                tracing::error!(request = %result.request, %error, "cannot remove an old result");
            }
        }
    }

    fn path(&self, request: &RequestId, suffix: &str) -> PathBuf {
        self.dir.join(format!("{request}.{suffix}"))
    }
}

/// The number of oldest results that are too old or exceed the limits.
fn over(kept: &VecDeque<Kept>, limits: Limits, now_ms: i64) -> usize {
    let mut bytes: u64 = kept.iter().map(|result| result.bytes).sum();
    let mut left = kept.len();
    let is_over = |result: &&Kept| {
        let over = left > limits.results_max
            || bytes > limits.bytes_max
            || now_ms.saturating_sub(result.ended_ms) >= limits.age_ms_max;
        (left, bytes) = (left - 1, bytes - result.bytes);
        over
    };
    kept.iter().take_while(is_over).count()
}

/// The metadata of a file; `None` when it is not a complete result.
fn kept(entry: &fs::DirEntry) -> Option<Kept> {
    let name = entry.file_name();
    let request = Path::new(&name).to_str()?.strip_suffix(".json")?.parse().ok()?;
    let metadata = entry.metadata().ok()?;
    let modified = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Some(Kept { request, ended_ms: i64::try_from(modified.as_millis()).ok()?, bytes: metadata.len() })
}

impl From<&EventResult> for Stored {
    fn from(result: &EventResult) -> Self {
        Self {
            request_id: result.request_id.clone(),
            status: result.status.code(),
            ret_msg: result.ret_msg.clone(),
            error_message: result.error_message.clone(),
            duration_us: u64::try_from(result.duration.as_micros()).unwrap_or(u64::MAX),
            bill_duration_ms: result.bill_duration_ms,
            memory_bytes: result.memory_bytes,
        }
    }
}

impl From<Stored> for EventResult {
    fn from(stored: Stored) -> Self {
        Self {
            request_id: stored.request_id,
            status: RunStatus::try_from(stored.status).unwrap_or(RunStatus::InternalError),
            ret_msg: stored.ret_msg,
            public_ret_msg: None,
            error_message: stored.error_message,
            retry_after: None,
            duration: Duration::from_micros(stored.duration_us),
            bill_duration_ms: stored.bill_duration_ms,
            memory_bytes: stored.memory_bytes,
            exit: None,
            cold: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(ret_msg: &str) -> EventResult {
        EventResult {
            request_id: RequestId::random(),
            status: RunStatus::Success,
            ret_msg: ret_msg.to_owned(),
            public_ret_msg: None,
            error_message: None,
            retry_after: None,
            duration: Duration::from_micros(7),
            bill_duration_ms: 1,
            memory_bytes: 9,
            exit: None,
            cold: None,
        }
    }

    fn open(dir: &Path, config: &Config) -> Results {
        Results::open(dir.to_owned(), config).expect("opens")
    }

    #[test]
    fn a_result_comes_back_also_after_a_restart_and_half_of_one_goes() {
        let dir = tempfile::tempdir().expect("a folder");
        let kept = result("\"tä\\n\"");
        open(dir.path(), &Config::default()).keep(&kept);
        fs::write(dir.path().join(format!("{}.tmp", RequestId::random())), "half").expect("written");
        let results = open(dir.path(), &Config::default());
        let found = results.get(&kept.request_id).expect("read").expect("kept");
        assert_eq!((&found.ret_msg, found.status, found.duration), (&kept.ret_msg, kept.status, kept.duration));
        assert!(results.get(&RequestId::random()).expect("read").is_none());
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn each_limit_removes_the_oldest() {
        let kept: VecDeque<Kept> =
            (0..4).map(|n| Kept { request: RequestId::random(), ended_ms: n * 10, bytes: 100 }).collect();
        let none = Limits { age_ms_max: i64::MAX, bytes_max: u64::MAX, results_max: usize::MAX };
        let table = [
            (none, 0),
            (Limits { results_max: 3, ..none }, 1),
            (Limits { bytes_max: 250, ..none }, 2),
            (Limits { bytes_max: 99, ..none }, 4),
            (Limits { age_ms_max: 40, ..none }, 2),
            (Limits { age_ms_max: 0, ..none }, 4),
        ];
        for (limits, removed) in table {
            assert_eq!(over(&kept, limits, 50), removed, "{limits:?}");
        }
    }

    #[test]
    fn a_result_over_the_limits_leaves_no_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let results = open(dir.path(), &Config { results_bytes_max: 1000, ..Config::default() });
        let large = result(&"x".repeat(2000));
        results.keep(&large);
        assert!(results.get(&large.request_id).expect("read").is_none());
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
    }
}
