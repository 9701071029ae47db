//! Statements on the table `namespaces`.

use sqlx::SqliteConnection;
use types::Namespace;

use super::columns;
use crate::record::NamespaceRecord;

pub(crate) async fn all(db: &mut SqliteConnection) -> sqlx::Result<Vec<NamespaceRecord>> {
    let rows = sqlx::query("SELECT name, description, added_ms, modified_ms FROM namespaces ORDER BY name")
        .fetch_all(db)
        .await?;
    rows.iter().map(columns::namespace).collect()
}

pub(crate) async fn exists(db: &mut SqliteConnection, name: &Namespace) -> sqlx::Result<bool> {
    let found = sqlx::query("SELECT 1 FROM namespaces WHERE name = $1").bind(name.as_str()).fetch_optional(db).await?;
    Ok(found.is_some())
}

pub(crate) async fn count(db: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM namespaces").fetch_one(db).await
}

pub(crate) async fn insert(db: &mut SqliteConnection, namespace: &NamespaceRecord) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO namespaces (name, description, added_ms, modified_ms) VALUES ($1, $2, $3, $4)")
        .bind(namespace.name.as_str())
        .bind(&namespace.description)
        .bind(namespace.added_ms)
        .bind(namespace.modified_ms)
        .execute(db)
        .await?;
    Ok(())
}

/// Changes the description of a namespace; returns whether the namespace exists.
pub(crate) async fn describe(
    db: &mut SqliteConnection,
    name: &Namespace,
    description: &str,
    now_ms: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE namespaces SET description = $2, modified_ms = $3 WHERE name = $1")
        .bind(name.as_str())
        .bind(description)
        .bind(now_ms)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(crate) async fn delete(db: &mut SqliteConnection, name: &Namespace) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM namespaces WHERE name = $1").bind(name.as_str()).execute(db).await?;
    Ok(())
}
