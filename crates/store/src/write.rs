//! One write: a transaction, and its changes in memory after the commit.

use std::panic::resume_unwind;

use sqlx::SqliteConnection;
use types::{FunctionId, FunctionKey};

use crate::database::Turn;
use crate::error::{During, Error};
use crate::handle::Store;
use crate::progress::Note;
use crate::snapshot::{self, Edit};
use crate::sql;

/// A write in progress. Dropping it without [`Write::commit`] rolls back.
pub(crate) struct Write {
    store: Store,
    turn: Turn,
    edits: Vec<Edit>,
    notes: Vec<Note>,
}

impl Write {
    /// Waits for the write lock.
    pub(crate) async fn begin(store: &Store) -> Result<Self, Error> {
        let turn = store.database().write().await?;
        Ok(Self { store: store.clone(), turn, edits: Vec::new(), notes: Vec::new() })
    }

    /// The connection for statements of this write.
    pub(crate) fn db(&mut self) -> &mut SqliteConnection {
        &mut self.turn.transaction
    }

    /// Rebuilds the function's entry in the next catalog.
    pub(crate) async fn refresh(&mut self, id: &FunctionId) -> Result<(), Error> {
        if let Some(function) = sql::lists::function(self.db(), id).await.during("read function", id)? {
            let key = function.record.key.clone();
            self.edits.push(Edit::Function(key, Some(snapshot::entry(function).into())));
        }
        Ok(())
    }

    /// Removes the function from the next catalog.
    pub(crate) fn remove(&mut self, key: &FunctionKey) {
        self.edits.push(Edit::Function(key.clone(), None));
    }

    /// Reads the namespaces for the next catalog.
    pub(crate) async fn refresh_namespaces(&mut self) -> Result<(), Error> {
        let all = sql::namespaces::all(self.db()).await.during("read", "namespaces")?;
        self.edits.push(Edit::Namespaces(all.into_iter().map(|namespace| namespace.name).collect()));
        Ok(())
    }

    /// Adds an edit of the next catalog.
    pub(crate) fn edit(&mut self, edit: Edit) {
        self.edits.push(edit);
    }

    /// Adds an effect on progress texts.
    pub(crate) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Commits, then swaps the catalog.
    pub(crate) async fn commit(self, operation: &'static str, subject: &str) -> Result<(), Error> {
        let _turn = self.turn.commit().await.during(operation, subject)?;
        self.store.publish(&self.notes, self.edits);
        Ok(())
    }
}

/// Runs a write in a separate task, so that a cancelled caller cannot interrupt it between its
/// commit and its snapshot.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The task is cancelled only by the shutdown of the runtime.
            Err(_) => Err(Error::Stopping),
        },
    }
}
