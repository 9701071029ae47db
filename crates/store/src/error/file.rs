//! Errors of the database's file.

use std::path::PathBuf;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The folder of the database cannot be made.
    #[error(
        "cannot make the folder {} for the database; make it writable or choose another data directory", path.display()
    )]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file of the database cannot be made.
    #[error(
        "cannot open the database file {} for writing; make it writable or choose another data directory",
        path.display()
    )]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database does not open.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// The schema cannot be brought up to date.
    #[error("cannot bring the schema of the database {} up to date", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// The schema is newer than this program.
    #[error(
        "the database {} was written by a newer version of Sampan (migration {migration}); start that version or \
         restore a backup",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The first migration that this program does not know.
        migration: i64,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "the database {} is damaged or is no database; restore a backup with `sampan restore`, or move it away and \
         start with --new to begin with an empty one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The value found.
        source: sqlx::Error,
    },
}
