//! Statements on the table `aliases`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::{Row, SqliteConnection};
use types::{FunctionId, VersionName};

use super::columns;

/// Where each alias of one function points.
pub(crate) type Aliases = BTreeMap<Arc<str>, VersionName>;

pub(crate) async fn of_function(db: &mut SqliteConnection, id: &FunctionId) -> sqlx::Result<Aliases> {
    let rows =
        sqlx::query("SELECT name, version FROM aliases WHERE function_id = $1").bind(id.as_str()).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get::<&str, _>("name")?.into(), columns::version_name(row)?))).collect()
}

pub(crate) async fn all(db: &mut SqliteConnection) -> sqlx::Result<HashMap<FunctionId, Aliases>> {
    let rows = sqlx::query("SELECT function_id, name, version FROM aliases").fetch_all(db).await?;
    let mut all: HashMap<FunctionId, Aliases> = HashMap::new();
    for row in &rows {
        let aliases = all.entry(columns::parsed(row, "function_id")?).or_default();
        aliases.insert(row.try_get::<&str, _>("name")?.into(), columns::version_name(row)?);
    }
    Ok(all)
}

pub(crate) async fn insert(
    db: &mut SqliteConnection,
    id: &FunctionId,
    name: &str,
    version: VersionName,
    now_ms: i64,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO aliases (function_id, name, version, added_ms, modified_ms) VALUES ($1, $2, $3, $4, $4)")
        .bind(id.as_str())
        .bind(name)
        .bind(columns::from_version(version))
        .bind(now_ms)
        .execute(db)
        .await?;
    Ok(())
}
