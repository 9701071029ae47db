//! The handle: opening the store, the catalog, change notifications, and progress. Reads and writes
//! of records are in `namespaces`, `functions`, `deploying` and the other files named after their
//! records.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use types::{Catalog, FunctionId, Namespace, SharedCatalog, VersionKey, VersionName};

use crate::config::Config;
use crate::database::{self, Database};
use crate::error::{During, Error};
use crate::progress::{Note, Progress};
use crate::record::NamespaceRecord;
use crate::snapshot::{self, Edit};
use crate::{sql, state};

/// Handle of the store; clones are cheap and share one store.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    database: Database,
    catalog: SharedCatalog,
    changes: watch::Sender<u64>,
    progress: Progress,
}

impl Store {
    /// Opens the database at `path` and loads the catalog. Creates missing folders (0700), the file
    /// (0600), the schema, and the namespace `default`.
    ///
    /// # Errors
    /// A [`FileError`](crate::FileError), with a variant for each reason not to use the file.
    pub async fn open(path: &Path, config: Config) -> Result<Self, Error> {
        let database = Database::open(path, &config).await?;
        make_default_namespace(&database).await?;
        let mut read = database.read().await?;
        let load_error = |source| database::open_error(path, source);
        let namespaces = sql::namespaces::all(&mut read).await.map_err(load_error)?;
        let functions = sql::lists::all(&mut read).await.map_err(load_error)?;
        let quota_mb = sql::quotas::total(&mut read).await.map_err(load_error)?;
        let domains = sql::domains::all(&mut read).await.map_err(load_error)?;
        let secrets = sql::secrets::all(&mut read).await.map_err(load_error)?;
        let progress = Progress::default();
        for key in sql::versions::in_states(&mut read, &state::PENDING).await.map_err(load_error)? {
            progress.note(&Note::Pending(key));
        }
        drop(read);
        let namespaces = namespaces.into_iter().map(|namespace| namespace.name).collect();
        let catalog = snapshot::first(functions, namespaces, quota_mb, domains, secrets);
        let changes = watch::Sender::new(catalog.revision);
        let catalog = Arc::new(ArcSwap::from_pointee(catalog));
        Ok(Self { inner: Arc::new(Inner { config, database, catalog, changes, progress }) })
    }

    /// Closes the store: waits for the running write and checkpoints the WAL into the database
    /// file. Later calls fail.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    /// The current snapshot of all callable versions. A write returns after its snapshot was
    /// swapped in.
    pub fn catalog(&self) -> SharedCatalog {
        self.inner.catalog.clone()
    }

    /// Receives the catalog's revision after each change of functions, namespaces, quota,
    /// domains or secrets.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// The limits in force.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Sets the progress text of a preparation. The text of an obsolete preparation is dropped.
    pub fn set_progress(&self, key: &VersionKey, text: &str) {
        self.inner.progress.set(key, text, self.inner.config.progress_bytes_max);
    }

    /// The progress text of the preparation of a `Creating` or `Updating` version, if it has set
    /// one.
    pub fn progress(&self, id: &FunctionId, version: VersionName) -> Option<Arc<str>> {
        self.inner.progress.get(id, version)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Applies the notes and edits of a committed write; with edits, swaps the catalog and sends
    /// its revision. The caller must hold the write lock.
    pub(crate) fn publish(&self, notes: &[Note], edits: Vec<Edit>) {
        for note in notes {
            self.inner.progress.note(note);
        }
        if edits.is_empty() {
            return;
        }
        let next: Catalog = snapshot::next(&self.inner.catalog.load(), edits, self.inner.config.change_sets_max);
        let revision = next.revision;
        self.inner.catalog.store(Arc::new(next));
        self.inner.changes.send_replace(revision);
    }
}

/// The current time, Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

async fn make_default_namespace(database: &Database) -> Result<(), Error> {
    let name = Namespace::default_namespace();
    let mut turn = database.write().await?;
    if !sql::namespaces::exists(&mut turn.transaction, &name).await.during("read namespace", &name)? {
        let now_ms = now_ms();
        let record =
            NamespaceRecord { name: name.clone(), description: String::new(), added_ms: now_ms, modified_ms: now_ms };
        sql::namespaces::insert(&mut turn.transaction, &record).await.during("make namespace", &name)?;
        let _turn = turn.commit().await.during("make namespace", &name)?;
    }
    Ok(())
}
