//! One write: a transaction, and what it changes in memory once it is committed.

use std::panic::resume_unwind;

use sqlx::SqliteConnection;
use types::{FunctionId, FunctionKey};

use crate::database::Turn;
use crate::error::{During, Error};
use crate::handle::Store;
use crate::progress::Note;
use crate::snapshot::{self, Edit};
use crate::sql;

/// A write that has begun. Dropped without [`Write::commit`] it leaves everything as it was.
pub(crate) struct Write {
    store: Store,
    turn: Turn,
    edits: Vec<Edit>,
    notes: Vec<Note>,
}

impl Write {
    /// Waits for the turn to write.
    pub(crate) async fn begin(store: &Store) -> Result<Self, Error> {
        let turn = store.database().write().await?;
        Ok(Self { store: store.clone(), turn, edits: Vec::new(), notes: Vec::new() })
    }

    /// Where statements of this write go.
    pub(crate) fn db(&mut self) -> &mut SqliteConnection {
        &mut self.turn.transaction
    }

    /// The catalog will have the function's entry made anew.
    pub(crate) async fn refresh(&mut self, id: &FunctionId) -> Result<(), Error> {
        if let Some(function) = sql::lists::function(self.db(), id).await.during("read function", id)? {
            let key = function.record.key.clone();
            self.edits.push(Edit::Function(key, Some(snapshot::entry(function).into())));
        }
        Ok(())
    }

    /// The catalog will not have the function any more.
    pub(crate) fn remove(&mut self, key: &FunctionKey) {
        self.edits.push(Edit::Function(key.clone(), None));
    }

    /// The catalog will have the namespaces read anew.
    pub(crate) async fn refresh_namespaces(&mut self) -> Result<(), Error> {
        let all = sql::namespaces::all(self.db()).await.during("read", "namespaces")?;
        self.edits.push(Edit::Namespaces(all.into_iter().map(|namespace| namespace.name).collect()));
        Ok(())
    }

    /// The catalog will have this.
    pub(crate) fn edit(&mut self, edit: Edit) {
        self.edits.push(edit);
    }

    /// Effect of the write on texts of progress.
    pub(crate) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Makes everything durable, then visible.
    pub(crate) async fn commit(self, operation: &'static str, subject: &str) -> Result<(), Error> {
        let _turn = self.turn.commit().await.during(operation, subject)?;
        self.store.publish(&self.notes, self.edits);
        Ok(())
    }
}

/// Runs a write to its end whether or not the caller waits for it: between a commit and its
/// snapshot nothing may stop.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // Only a runtime that ends cancels the task.
            Err(_) => Err(Error::Stopping),
        },
    }
}
