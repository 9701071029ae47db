//! Whether the database takes writes.

use crate::error::{During, Error};
use crate::handle::Store;
use crate::write::{Write, detached};

impl Store {
    /// Makes one write durable that changes nothing: the file's first page is written as it is.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many writes wait, else why the database does not take it.
    pub async fn probe(&self) -> Result<(), Error> {
        let store = self.clone();
        detached(async move {
            let mut write = Write::begin(&store).await?;
            // The version field of the file's users, which Sampan leaves at its first value.
            let written = sqlx::query("PRAGMA user_version = 0").execute(write.db()).await;
            written.during("write to", "the database")?;
            write.commit("write to", "the database").await
        })
        .await
    }
}
