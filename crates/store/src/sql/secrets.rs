//! Statements on the tables `secrets` and `secret_versions`.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use types::{FunctionKey, Namespace, SecretKey, SecretRecord, SecretVersion, VersionName, VersionSpec};

use super::columns;

/// Every secret.
pub(crate) async fn all(db: &mut SqliteConnection) -> sqlx::Result<BTreeMap<SecretKey, Arc<SecretRecord>>> {
    let rows = sqlx::query(
        "SELECT s.namespace, s.name, s.added_ms AS secret_added_ms, v.version, v.sealed, v.bytes, v.is_text, v.added_ms
        FROM secrets s JOIN secret_versions v ON v.namespace = s.namespace AND v.name = s.name
        ORDER BY s.namespace, s.name, v.version",
    )
    .fetch_all(db)
    .await?;
    let mut secrets: BTreeMap<SecretKey, SecretRecord> = BTreeMap::new();
    for row in &rows {
        let key = key(row)?;
        let added_ms = row.try_get("secret_added_ms")?;
        let made = || SecretRecord { key: key.clone(), versions: Vec::new(), added_ms };
        secrets.entry(key.clone()).or_insert_with(made).versions.push(version(row)?);
    }
    Ok(secrets.into_iter().map(|(key, secret)| (key, Arc::new(secret))).collect())
}

fn key(row: &SqliteRow) -> sqlx::Result<SecretKey> {
    Ok(SecretKey { namespace: columns::parsed(row, "namespace")?, name: columns::parsed(row, "name")? })
}

fn version(row: &SqliteRow) -> sqlx::Result<SecretVersion> {
    Ok(SecretVersion {
        number: columns::published_number(row, "version")?,
        sealed: row.try_get::<Vec<u8>, _>("sealed")?.into(),
        bytes: row.try_get::<i64, _>("bytes")?.cast_unsigned(),
        is_text: row.try_get("is_text")?,
        added_ms: row.try_get("added_ms")?,
    })
}

/// Takes and returns the number of a secret's next version; creates the secret if it does not
/// exist.
pub(crate) async fn next_version(db: &mut SqliteConnection, key: &SecretKey, now_ms: i64) -> sqlx::Result<u32> {
    let row = sqlx::query(
        "INSERT INTO secrets (namespace, name, next_version, added_ms) VALUES ($1, $2, 2, $3)
        ON CONFLICT (namespace, name) DO UPDATE SET next_version = next_version + 1
        RETURNING next_version - 1 AS version",
    )
    .bind(key.namespace.as_str())
    .bind(key.name.as_str())
    .bind(now_ms)
    .fetch_one(db)
    .await?;
    columns::published_number(&row, "version")
}

pub(crate) async fn insert_version(
    db: &mut SqliteConnection,
    key: &SecretKey,
    version: &SecretVersion,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO secret_versions (namespace, name, version, sealed, bytes, is_text, added_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(key.namespace.as_str())
    .bind(key.name.as_str())
    .bind(i64::from(version.number))
    .bind(version.sealed.as_ref())
    .bind(version.bytes.cast_signed())
    .bind(version.is_text)
    .bind(version.added_ms)
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes a secret with all its versions.
pub(crate) async fn delete(db: &mut SqliteConnection, key: &SecretKey) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM secrets WHERE namespace = $1 AND name = $2")
        .bind(key.namespace.as_str())
        .bind(key.name.as_str())
        .execute(db)
        .await?;
    Ok(())
}

pub(crate) async fn delete_version(db: &mut SqliteConnection, key: &SecretKey, number: u32) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM secret_versions WHERE namespace = $1 AND name = $2 AND version = $3")
        .bind(key.namespace.as_str())
        .bind(key.name.as_str())
        .bind(i64::from(number))
        .execute(db)
        .await?;
    Ok(())
}

/// Desired and serving configurations of versions that may name secrets.
pub(crate) async fn specs(
    db: &mut SqliteConnection,
    namespace: Option<&Namespace>,
) -> sqlx::Result<Vec<(FunctionKey, VersionName, VersionSpec)>> {
    let rows = sqlx::query(
        "SELECT f.namespace, f.name, v.version, v.desired AS spec
        FROM functions f JOIN versions v ON v.function_id = f.id
        WHERE NOT f.deleting AND ($1 IS NULL OR f.namespace = $1) AND v.desired LIKE '%secret%'
        UNION
        SELECT f.namespace, f.name, v.version, v.serving_spec AS spec
        FROM functions f JOIN versions v ON v.function_id = f.id
        WHERE NOT f.deleting AND ($1 IS NULL OR f.namespace = $1) AND v.serving_spec LIKE '%secret%'
        ORDER BY 1, 2, 3",
    )
    .bind(namespace.map(Namespace::as_str))
    .fetch_all(db)
    .await?;
    let spec = |row: &SqliteRow| {
        let key = FunctionKey { namespace: columns::parsed(row, "namespace")?, name: columns::parsed(row, "name")? };
        Ok((key, columns::version_name(row)?, columns::json(row, "spec")?))
    };
    rows.iter().map(spec).collect()
}
