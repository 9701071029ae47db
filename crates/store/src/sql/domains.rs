//! Statements on the table `domains`.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::SqliteConnection;
use types::CustomDomain;

use super::columns;

/// Every custom domain, by host name.
pub(crate) async fn all(db: &mut SqliteConnection) -> sqlx::Result<BTreeMap<String, Arc<CustomDomain>>> {
    let rows = sqlx::query("SELECT record FROM domains").fetch_all(db).await?;
    let domain =
        |row| columns::json::<CustomDomain>(row, "record").map(|domain| (domain.domain.clone(), domain.into()));
    rows.iter().map(domain).collect()
}

/// Inserts a domain, or replaces the one with its name.
pub(crate) async fn put(db: &mut SqliteConnection, domain: &CustomDomain) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO domains (domain, record) VALUES ($1, $2)
        ON CONFLICT (domain) DO UPDATE SET record = EXCLUDED.record",
    )
    .bind(&domain.domain)
    .bind(columns::to_json(domain))
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn delete(db: &mut SqliteConnection, domain: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM domains WHERE domain = $1").bind(domain).execute(db).await?;
    Ok(())
}
