//! Checks that the database accepts writes.

use crate::error::{During, Error};
use crate::handle::Store;
use crate::write::{Write, detached};

impl Store {
    /// Commits one durable write without a change: the file's first page is written again.
    ///
    /// # Errors
    /// [`Error::Busy`] if too many writes wait, otherwise the database's error.
    pub async fn probe(&self) -> Result<(), Error> {
        let store = self.clone();
        detached(async move {
            let mut write = Write::begin(&store).await?;
            // `user_version` is a field for applications, which Sampan leaves at its initial value.
            let written = sqlx::query("PRAGMA user_version = 0").execute(write.db()).await;
            written.during("write to", "the database")?;
            write.commit("write to", "the database").await
        })
        .await
    }
}
