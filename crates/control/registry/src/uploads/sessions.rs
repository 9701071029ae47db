//! Upload sessions: which are open, which request has which, and when one has waited too long. They live in memory:
//! after a restart a client begins again. Must not know HTTP.

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
    /// Waiting for the next request since then.
    Waiting { upload: Box<Upload>, since: Instant },
    /// A request has it.
    Busy,
}

/// Why a request does not get a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// There is no such session, or none of this repository.
    Unknown,
    /// Another request has it.
    Busy,
    /// As many are open as may be.
    TooMany,
}

impl Sessions {
    pub(crate) fn new(len_max: usize, idle: Duration) -> Self {
        Self { open: Arc::default(), len_max, idle }
    }

    /// Opens a session that holds nothing until an upload is put into it: the place is counted before the work begins.
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

    /// Takes a session for one request.
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

    /// How many bytes a session has taken, without taking it.
    pub(crate) fn offset(&self, repository: &Repository, id: &str) -> Result<u64, Denied> {
        self.expire();
        let open = self.open.lock();
        match open.get(id).filter(|session| session.repository == *repository).map(|session| &session.state) {
            Some(State::Waiting { upload, .. }) => Ok(upload.offset()),
            Some(State::Busy) => Err(Denied::Busy),
            None => Err(Denied::Unknown),
        }
    }

    /// Drops the sessions that have waited too long, with what they hold.
    pub(crate) fn expire(&self) {
        let now = Instant::now();
        let is_old = |session: &Session| match session.state {
            State::Waiting { since, .. } => now.duration_since(since) >= self.idle,
            State::Busy => false,
        };
        let old: Vec<Session> = self.open.lock().extract_if(|_, session| is_old(session)).map(|(_, old)| old).collect();
        if !old.is_empty() {
            tracing::debug!(count = old.len(), "dropping idle uploads");
            // Removing gigabytes takes a while.
            tokio::task::spawn_blocking(move || drop(old));
        }
    }
}

/// The right of one request to a session. Dropped, the session waits for the next request with what it took so far; a
/// session that holds no upload, because it failed or was finished, is gone.
pub(crate) struct Checkout {
    open: Arc<Mutex<HashMap<String, Session>>>,
    id: String,
    upload: Option<Box<Upload>>,
    /// Whether the client knows the session and may go on with it.
    resumable: bool,
}

impl Checkout {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Bytes taken so far.
    pub(crate) fn offset(&self) -> u64 {
        self.upload.as_ref().map_or(0, |upload| upload.offset())
    }

    /// Gives a reserved session its upload, which ends with this request unless it is `resumable`.
    pub(crate) fn fill(&mut self, upload: Upload, resumable: bool) {
        self.upload = Some(Box::new(upload));
        self.resumable = resumable;
    }

    /// Appends bytes. Cut off in the middle, the session keeps a whole number of pieces; failed, it is gone.
    pub(crate) async fn write(&mut self, piece: Bytes) -> Result<(), content_store::Error> {
        let Some(upload) = &mut self.upload else { return Err(ended()) };
        let written = upload.write(piece).await;
        if written.is_err() {
            self.upload = None;
        }
        written
    }

    /// Makes what was taken visible in the content store, when it is `expected`. The session is gone either way.
    pub(crate) async fn commit(mut self, expected: &Digest) -> Result<(), content_store::Error> {
        let upload = self.upload.take().ok_or_else(ended)?;
        upload.commit(Some(expected)).await.map(|_| ())
    }

    /// Ends the session and drops what it took.
    pub(crate) fn discard(mut self) {
        self.upload = None;
    }
}

fn ended() -> content_store::Error {
    content_store::Error::Interrupted { operation: "an upload that failed before" }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // What is given up is dropped here, before the lock: removing gigabytes takes a while.
        let upload = self.upload.take().filter(|_| self.resumable);
        let mut open = self.open.lock();
        let Entry::Occupied(mut session) = open.entry(std::mem::take(&mut self.id)) else { return };
        match upload {
            Some(upload) => session.get_mut().state = State::Waiting { upload, since: Instant::now() },
            None => drop(session.remove()),
        }
    }
}
