//! Converts errors of the database to errors of the store, with operation and subject, and a
//! separate error for a full disk.

use std::fmt::Display;

use super::Error;

/// SQLite's result codes with separate errors (<https://www.sqlite.org/rescode.html>).
pub(crate) mod code {
    pub(crate) const CORRUPT: i32 = 11;
    pub(crate) const FULL: i32 = 13;
    pub(crate) const NOT_A_DATABASE: i32 = 26;
}

/// The primary result code of a database error.
pub(crate) fn result_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Adds operation and subject to the error of a statement.
pub(crate) trait During<T> {
    /// Names the operation (a verb and its object) and the subject of a failure.
    fn during(self, operation: &'static str, subject: impl Display) -> Result<T, Error>;
}

impl<T> During<T> for sqlx::Result<T> {
    fn during(self, operation: &'static str, subject: impl Display) -> Result<T, Error> {
        self.map_err(|source| {
            let subject = subject.to_string();
            match result_code(&source) {
                Some(code::FULL) => Error::DiskFull { operation, subject, source },
                _ => Error::Query { operation, subject, source },
            }
        })
    }
}
