//! Statements on the table `aliases`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use types::alias::Additional;
use types::{AliasRecord, FunctionId, Route};

use super::columns;

/// The aliases of one function, by name.
pub(crate) type Aliases = BTreeMap<Arc<str>, AliasRecord>;

const COLUMNS: &str = "
    SELECT function_id, name, description, version, additional_version, additional_when, added_ms, modified_ms
    FROM aliases";

fn alias(row: &SqliteRow) -> sqlx::Result<AliasRecord> {
    let additional = match columns::optional_version(row, "additional_version")? {
        Some(version) => Some(Additional { version, when: columns::json(row, "additional_when")? }),
        None => None,
    };
    Ok(AliasRecord {
        function_id: columns::parsed(row, "function_id")?,
        name: row.try_get("name")?,
        route: Route { version: columns::version_name(row)?, additional },
        description: row.try_get("description")?,
        added_ms: row.try_get("added_ms")?,
        modified_ms: row.try_get("modified_ms")?,
    })
}

pub(crate) async fn of_function(db: &mut SqliteConnection, id: &FunctionId) -> sqlx::Result<Aliases> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push(" WHERE function_id = ").push_bind(id.as_str().to_owned());
    let rows = query.build().fetch_all(db).await?;
    rows.iter().map(|row| alias(row).map(|alias| (alias.name.as_str().into(), alias))).collect()
}

pub(crate) async fn all(db: &mut SqliteConnection) -> sqlx::Result<HashMap<FunctionId, Aliases>> {
    let rows = sqlx::query(COLUMNS).fetch_all(db).await?;
    let mut all: HashMap<FunctionId, Aliases> = HashMap::new();
    for row in &rows {
        let alias = alias(row)?;
        all.entry(alias.function_id.clone()).or_default().insert(alias.name.as_str().into(), alias);
    }
    Ok(all)
}

pub(crate) async fn insert(db: &mut SqliteConnection, alias: &AliasRecord) -> sqlx::Result<()> {
    let additional = alias.route.additional.as_ref();
    sqlx::query(
        "INSERT INTO aliases (function_id, name, description, version, additional_version, additional_when, added_ms,
            modified_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(alias.function_id.as_str())
    .bind(&alias.name)
    .bind(&alias.description)
    .bind(columns::from_version(alias.route.version))
    .bind(additional.map(|additional| columns::from_version(additional.version)))
    .bind(additional.map(|additional| columns::to_json(&additional.when)))
    .bind(alias.added_ms)
    .bind(alias.modified_ms)
    .execute(db)
    .await?;
    Ok(())
}

/// Writes all changeable columns of an alias.
pub(crate) async fn update(db: &mut SqliteConnection, alias: &AliasRecord) -> sqlx::Result<()> {
    let additional = alias.route.additional.as_ref();
    sqlx::query(
        "UPDATE aliases SET description = $3, version = $4, additional_version = $5, additional_when = $6,
            modified_ms = $7
        WHERE function_id = $1 AND name = $2",
    )
    .bind(alias.function_id.as_str())
    .bind(&alias.name)
    .bind(&alias.description)
    .bind(columns::from_version(alias.route.version))
    .bind(additional.map(|additional| columns::from_version(additional.version)))
    .bind(additional.map(|additional| columns::to_json(&additional.when)))
    .bind(alias.modified_ms)
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes an alias; returns whether it existed.
pub(crate) async fn delete(db: &mut SqliteConnection, id: &FunctionId, name: &str) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM aliases WHERE function_id = $1 AND name = $2")
        .bind(id.as_str())
        .bind(name)
        .execute(db)
        .await?;
    Ok(done.rows_affected() > 0)
}
