//! Upload sessions: which are open, which request holds one, and their idle timeout. They live in
//! memory: after a restart clients start again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use content_store::Upload;
use parking_lot::Mutex;
use tokio::time::Instant;
use types::Digest;

use crate::names::Repository;

/// All upload sessions.
pub(crate) struct Sessions {
    open: Arc<Mutex<HashMap<String, Session>>>,
    len_max: usize,
    idle: Duration,
}

struct Session {
    repository: Repository,
    state: State,
}

enum State {
    /// Idle since then.
    Waiting { upload: Box<Upload>, since: Instant },
    /// Held by a request.
    Busy,
}

/// Why a request does not get a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Unknown session, or one of another repository.
    Unknown,
    /// Held by another request.
    Busy,
    /// The limit of open sessions is reached.
    TooMany,
}

impl Sessions {
    pub(crate) fn new(len_max: usize, idle: Duration) -> Self {
        Self { open: Arc::default(), len_max, idle }
    }

    /// Opens a session without an upload, so that it counts against the limit before the work
    /// begins.
    pub(crate) fn reserve(&self, repository: &Repository) -> Result<Checkout, Denied> {
        self.expire();
        let mut open = self.open.lock();
        if open.len() >= self.len_max {
            return Err(Denied::TooMany);
        }
        let id = uuid::Uuid::new_v4().to_string();
        open.insert(id.clone(), Session { repository: repository.clone(), state: State::Busy });
        Ok(Checkout { open: self.open.clone(), id, upload: None, resumable: false })
    }

    /// Checks a session out for one request.
    pub(crate) fn take(&self, repository: &Repository, id: &str) -> Result<Checkout, Denied> {
        self.expire();
        let mut open = self.open.lock();
        let session = open.get_mut(id).filter(|session| session.repository == *repository).ok_or(Denied::Unknown)?;
        match std::mem::replace(&mut session.state, State::Busy) {
            State::Waiting { upload, .. } => {
                Ok(Checkout { open: self.open.clone(), id: id.to_owned(), upload: Some(upload), resumable: true })
            }
            State::Busy => Err(Denied::Busy),
        }
    }

    /// Bytes received by a session, without checking it out.
    pub(crate) fn offset(&self, repository: &Repository, id: &str) -> Result<u64, Denied> {
        self.expire();
        let open = self.open.lock();
        match open.get(id).filter(|session| session.repository == *repository).map(|session| &session.state) {
            Some(State::Waiting { upload, .. }) => Ok(upload.offset()),
            Some(State::Busy) => Err(Denied::Busy),
            None => Err(Denied::Unknown),
        }
    }

    /// Drops idle sessions with their uploads.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        let is_old = |session: &Session| match session.state {
            State::Waiting { since, .. } => now.duration_since(since) >= self.idle,
            State::Busy => false,
        };
        let old: Vec<Session> = self.open.lock().extract_if(|_, session| is_old(session)).map(|(_, old)| old).collect();
        if !old.is_empty() {
            tracing::debug!(count = old.len(), "dropped idle uploads");
            // Removing gigabytes takes a while.
            tokio::task::spawn_blocking(move || drop(old));
        }
    }
}

/// Exclusive use of a session by one request. On drop the session keeps its upload for the next
/// request; a session without an upload (failed or finished) is removed.
pub(crate) struct Checkout {
    open: Arc<Mutex<HashMap<String, Session>>>,
    id: String,
    upload: Option<Box<Upload>>,
    /// Whether the client knows the session and can resume it.
    resumable: bool,
}

impl Checkout {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Bytes received so far.
    pub(crate) fn offset(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.offset())
    }

    /// Gives a reserved session its upload, which ends with this request unless it is `resumable`.
    pub(crate) fn fill(&mut self, upload: Upload, resumable: bool) {
        self.upload = Some(Box::new(upload));
        self.resumable = resumable;
    }

    /// Appends bytes. A cancelled write keeps a whole number of chunks; a failed one removes the
    /// session.
    pub(crate) async fn write(&mut self, piece: Bytes) -> Result<(), content_store::Error> {
        let Some(upload) = &mut self.upload else { return Err(ended()) };
        let written = upload.write(piece).await;
        if written.is_err() {
            self.upload = None;
        }
        written
    }

    /// Commits the upload to the content store if its digest is `expected`. Removes the session in
    /// any case.
    pub(crate) async fn commit(mut self, expected: &Digest) -> Result<(), content_store::Error> {
        let upload = self.upload.take().ok_or_else(ended)?;
        upload.commit(Some(expected)).await.map(|_| ())
    }

    /// Removes the session and its upload.
    pub(crate) fn discard(mut self) {
        self.upload = None;
    }
}

fn ended() -> content_store::Error {
    content_store::Error::Interrupted { operation: "an upload that failed before" }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // Dropped before the lock is taken: removing gigabytes takes a while.
        let upload = self.upload.take().filter(|_| self.resumable);
        let mut open = self.open.lock();
        let Entry::Occupied(mut session) = open.entry(std::mem::take(&mut self.id)) else { return };
        match upload {
            Some(upload) => session.get_mut().state = State::Waiting { upload, since: Instant::now() },
            None => drop(session.remove()),
        }
    }
}
