//! Statements on the table `functions`.

use sqlx::{Row, SqliteConnection};
use types::{FunctionId, FunctionKey, FunctionRecord, Namespace};

use super::columns;

/// The function that has a name.
pub(crate) struct Holder {
    pub(crate) id: FunctionId,
    pub(crate) deleting: bool,
}

pub(crate) async fn holder(db: &mut SqliteConnection, key: &FunctionKey) -> sqlx::Result<Option<Holder>> {
    let row = sqlx::query("SELECT id, deleting FROM functions WHERE namespace = $1 AND name = $2 AND NOT replaced")
        .bind(key.namespace.as_str())
        .bind(key.name.as_str())
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok(Holder { id: columns::parsed(&row, "id")?, deleting: row.try_get("deleting")? })).transpose()
}

pub(crate) async fn insert(db: &mut SqliteConnection, function: &FunctionRecord) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO functions (id, namespace, name, kind, protocol, async_run, trace, tags, deleting, replaced,
            added_ms, modified_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, FALSE, FALSE, $9, $10)",
    )
    .bind(function.id.as_str())
    .bind(function.key.namespace.as_str())
    .bind(function.key.name.as_str())
    .bind(function.kind.as_str())
    .bind(&function.protocol)
    .bind(function.async_run)
    .bind(function.trace)
    .bind(columns::to_json(&function.tags))
    .bind(function.added_ms)
    .bind(function.modified_ms)
    .execute(db)
    .await?;
    Ok(())
}

/// Takes and returns the number of the next published version.
pub(crate) async fn next_version(db: &mut SqliteConnection, id: &FunctionId) -> sqlx::Result<u32> {
    let row = sqlx::query("UPDATE functions SET last_version = last_version + 1 WHERE id = $1 RETURNING last_version")
        .bind(id.as_str())
        .fetch_one(db)
        .await?;
    columns::published_number(&row, "last_version")
}

/// Makes this the number of the next published version; if it is not higher than the last number
/// taken, returns that number as the error.
pub(crate) async fn pass_over(
    db: &mut SqliteConnection,
    id: &FunctionId,
    number: u32,
) -> sqlx::Result<Result<(), u32>> {
    let taken = sqlx::query("UPDATE functions SET last_version = $2 - 1 WHERE id = $1 AND last_version < $2")
        .bind(id.as_str())
        .bind(i64::from(number))
        .execute(&mut *db)
        .await?;
    if taken.rows_affected() > 0 {
        return Ok(Ok(()));
    }
    let row = sqlx::query("SELECT last_version FROM functions WHERE id = $1").bind(id.as_str()).fetch_one(db).await?;
    columns::published_number(&row, "last_version").map(Err)
}

pub(crate) async fn touch(db: &mut SqliteConnection, id: &FunctionId, now_ms: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE functions SET modified_ms = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(now_ms)
        .execute(db)
        .await?;
    Ok(())
}

/// Marks a function as being deleted; `replaced` frees its name at once.
pub(crate) async fn mark_deleting(
    db: &mut SqliteConnection,
    id: &FunctionId,
    replaced: bool,
    now_ms: i64,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE functions SET deleting = TRUE, replaced = $2, modified_ms = $3 WHERE id = $1")
        .bind(id.as_str())
        .bind(replaced)
        .bind(now_ms)
        .execute(db)
        .await?;
    Ok(())
}

pub(crate) async fn deleting(db: &mut SqliteConnection) -> sqlx::Result<Vec<FunctionId>> {
    let rows = sqlx::query("SELECT id FROM functions WHERE deleting ORDER BY id").fetch_all(db).await?;
    rows.iter().map(|row| columns::parsed(row, "id")).collect()
}

/// Removes a function that is being deleted, with its versions and aliases; returns whether it
/// existed.
pub(crate) async fn delete(db: &mut SqliteConnection, id: &FunctionId) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM functions WHERE id = $1 AND deleting").bind(id.as_str()).execute(db).await?;
    Ok(done.rows_affected() > 0)
}

/// Number of functions with a name in the namespace.
pub(crate) async fn count_in(db: &mut SqliteConnection, namespace: &Namespace) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM functions WHERE namespace = $1 AND NOT replaced")
        .bind(namespace.as_str())
        .fetch_one(db)
        .await
}

/// Number of rows of the namespace, including those without a name.
pub(crate) async fn count_rows_in(db: &mut SqliteConnection, namespace: &Namespace) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM functions WHERE namespace = $1")
        .bind(namespace.as_str())
        .fetch_one(db)
        .await
}

/// Number of functions of every namespace, without those being deleted.
pub(crate) async fn counts(db: &mut SqliteConnection) -> sqlx::Result<Vec<(Namespace, i64)>> {
    let rows = sqlx::query(
        "SELECT n.name, COUNT(f.id) AS functions
        FROM namespaces n LEFT JOIN functions f ON f.namespace = n.name AND NOT f.deleting
        GROUP BY n.name ORDER BY n.name",
    )
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((columns::parsed(row, "name")?, row.try_get("functions")?))).collect()
}
