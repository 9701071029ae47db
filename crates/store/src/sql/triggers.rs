//! Statements on the table `triggers`.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use types::{FunctionId, Trigger, TriggerId};

use super::columns;

const COLUMNS: &str = "
    SELECT function_id, id, kind, name, qualifier, description, options, enabled, custom_argument, remark, since_ms,
        added_ms, modified_ms
    FROM triggers";
const ORDER: &str = " ORDER BY kind, name, qualifier";

fn trigger(row: &SqliteRow) -> sqlx::Result<Arc<Trigger>> {
    Ok(Arc::new(Trigger {
        id: columns::parsed(row, "id")?,
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        qualifier: columns::parsed(row, "qualifier")?,
        desc: columns::json(row, "description")?,
        options: columns::json(row, "options")?,
        enabled: row.try_get("enabled")?,
        custom_argument: row.try_get("custom_argument")?,
        description: row.try_get("remark")?,
        since_ms: row.try_get("since_ms")?,
        added_ms: row.try_get("added_ms")?,
        modified_ms: row.try_get("modified_ms")?,
    }))
}

/// The triggers of one function.
pub(crate) async fn of_function(db: &mut SqliteConnection, id: &FunctionId) -> sqlx::Result<Vec<Arc<Trigger>>> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push(" WHERE function_id = ").push_bind(id.as_str().to_owned()).push(ORDER);
    query.build().fetch_all(db).await?.iter().map(trigger).collect()
}

/// The triggers of every function.
pub(crate) async fn all(db: &mut SqliteConnection) -> sqlx::Result<HashMap<FunctionId, Vec<Arc<Trigger>>>> {
    let mut query = QueryBuilder::<Sqlite>::new(COLUMNS);
    query.push(ORDER);
    let mut all: HashMap<FunctionId, Vec<Arc<Trigger>>> = HashMap::new();
    for row in &query.build().fetch_all(db).await? {
        all.entry(columns::parsed(row, "function_id")?).or_default().push(trigger(row)?);
    }
    Ok(all)
}

/// Inserts a trigger, or replaces the one with its id.
pub(crate) async fn put(db: &mut SqliteConnection, function: &FunctionId, trigger: &Trigger) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO triggers (id, function_id, kind, name, qualifier, description, options, enabled, custom_argument,
            remark, since_ms, added_ms, modified_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (id) DO UPDATE SET description = EXCLUDED.description, options = EXCLUDED.options,
            enabled = EXCLUDED.enabled, custom_argument = EXCLUDED.custom_argument, remark = EXCLUDED.remark,
            since_ms = EXCLUDED.since_ms, modified_ms = EXCLUDED.modified_ms",
    )
    .bind(trigger.id.as_str())
    .bind(function.as_str())
    .bind(&trigger.kind)
    .bind(&trigger.name)
    .bind(trigger.qualifier.to_string())
    .bind(columns::to_json(&trigger.desc))
    .bind(columns::to_json(&trigger.options))
    .bind(trigger.enabled)
    .bind(&trigger.custom_argument)
    .bind(&trigger.description)
    .bind(trigger.since_ms)
    .bind(trigger.added_ms)
    .bind(trigger.modified_ms)
    .execute(db)
    .await?;
    Ok(())
}

pub(crate) async fn delete(db: &mut SqliteConnection, id: &TriggerId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM triggers WHERE id = $1").bind(id.as_str()).execute(db).await?;
    Ok(())
}
