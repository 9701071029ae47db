//! Statements on the table `versions`.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use types::{FunctionId, FunctionRecord, ProvisionedSpec, Status, VersionKey, VersionName, VersionRecord};

use super::columns::{self, FUNCTION_AND_VERSION};

fn one_row(row: Option<sqlx::sqlite::SqliteRow>) -> sqlx::Result<Option<(FunctionRecord, VersionRecord)>> {
    row.map(|row| Ok((columns::function(&row)?, columns::version(&row)?))).transpose()
}

pub(crate) async fn one(
    db: &mut SqliteConnection,
    id: &FunctionId,
    version: VersionName,
) -> sqlx::Result<Option<(FunctionRecord, VersionRecord)>> {
    let mut query = QueryBuilder::<Sqlite>::new(FUNCTION_AND_VERSION);
    query.push(" WHERE f.id = ").push_bind(id.as_str().to_owned());
    query.push(" AND v.version = ").push_bind(columns::from_version(version));
    one_row(query.build().fetch_optional(db).await?)
}

/// Keys of the versions in these states, the longest waiting first.
pub(crate) async fn in_states(db: &mut SqliteConnection, states: &[Status]) -> sqlx::Result<Vec<VersionKey>> {
    let mut query =
        QueryBuilder::<Sqlite>::new("SELECT function_id, version, generation FROM versions WHERE status IN (");
    let mut list = query.separated(", ");
    for status in states {
        list.push_bind(status.as_str());
    }
    query.push(") ORDER BY modified_ms, function_id, version");
    query.build().fetch_all(db).await?.iter().map(columns::version_key).collect()
}

/// Writes the provisioned concurrency of a version.
pub(crate) async fn set_provisioned(
    db: &mut SqliteConnection,
    id: &FunctionId,
    version: VersionName,
    spec: Option<&ProvisionedSpec>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE versions SET provisioned = $3 WHERE function_id = $1 AND version = $2")
        .bind(id.as_str())
        .bind(columns::from_version(version))
        .bind(spec.map(columns::to_json))
        .execute(db)
        .await?;
    Ok(())
}

/// Binds $1 to $12: the key of a version and its written columns.
fn with_state<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    version: &'q VersionRecord,
) -> Query<'q, Sqlite, SqliteArguments> {
    let serving = version.serving.as_ref();
    query
        .bind(version.function_id.as_str())
        .bind(columns::from_version(version.version))
        .bind(version.status.as_str())
        .bind(columns::to_json(&version.reasons))
        .bind(columns::from_generation(version.generation))
        .bind(columns::to_json(&version.desired))
        .bind(&version.desired.description)
        .bind(version.resolve)
        .bind(serving.map(|serving| columns::from_generation(serving.generation)))
        .bind(serving.map(|serving| columns::to_json(&serving.spec)))
        .bind(serving.map(|serving| serving.image.digest.as_str()))
        .bind(serving.map(|serving| serving.image.size_bytes.cast_signed()))
}

pub(crate) async fn insert(db: &mut SqliteConnection, version: &VersionRecord) -> sqlx::Result<()> {
    let query = sqlx::query(
        "INSERT INTO versions (function_id, version, status, reasons, generation, desired, description, resolve,
            serving_generation, serving_spec, serving_digest, serving_size_bytes, added_ms, modified_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    );
    with_state(query, version).bind(version.added_ms).bind(version.modified_ms).execute(db).await?;
    Ok(())
}

/// Writes all changeable columns of a version.
pub(crate) async fn update(db: &mut SqliteConnection, version: &VersionRecord) -> sqlx::Result<()> {
    let query = sqlx::query(
        "UPDATE versions SET status = $3, reasons = $4, generation = $5, desired = $6, description = $7, resolve = $8,
            serving_generation = $9, serving_spec = $10, serving_digest = $11, serving_size_bytes = $12,
            modified_ms = $13
        WHERE function_id = $1 AND version = $2",
    );
    with_state(query, version).bind(version.modified_ms).execute(db).await?;
    Ok(())
}

/// Deletes one version.
pub(crate) async fn delete(db: &mut SqliteConnection, id: &FunctionId, version: VersionName) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM versions WHERE function_id = $1 AND version = $2")
        .bind(id.as_str())
        .bind(columns::from_version(version))
        .execute(db)
        .await?;
    Ok(())
}

/// Number of published versions of a function.
pub(crate) async fn count_published(db: &mut SqliteConnection, id: &FunctionId) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM versions WHERE function_id = $1 AND version <> $2")
        .bind(id.as_str())
        .bind(columns::from_version(VersionName::Latest))
        .fetch_one(db)
        .await
}

/// Sets whether `$LATEST` is published when its preparation succeeds.
pub(crate) async fn set_publish(db: &mut SqliteConnection, id: &FunctionId, publish: bool) -> sqlx::Result<()> {
    sqlx::query("UPDATE versions SET publish = $3 WHERE function_id = $1 AND version = $2")
        .bind(id.as_str())
        .bind(columns::from_version(VersionName::Latest))
        .bind(publish)
        .execute(db)
        .await?;
    Ok(())
}

/// Returns whether `$LATEST` was to be published, and clears that.
pub(crate) async fn take_publish(db: &mut SqliteConnection, id: &FunctionId) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE versions SET publish = FALSE WHERE function_id = $1 AND version = $2 AND publish")
        .bind(id.as_str())
        .bind(columns::from_version(VersionName::Latest))
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Sets one state for all versions of a function.
pub(crate) async fn mark_all(
    db: &mut SqliteConnection,
    id: &FunctionId,
    status: Status,
    now_ms: i64,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE versions SET status = $2, reasons = '[]', modified_ms = $3 WHERE function_id = $1")
        .bind(id.as_str())
        .bind(status.as_str())
        .bind(now_ms)
        .execute(db)
        .await?;
    Ok(())
}
