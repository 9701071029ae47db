//! Statements that read functions with their versions: one, all, or those matching a query.

use std::collections::HashMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use types::{FunctionId, VersionName};

use super::columns::{self, FUNCTION_AND_VERSION};
use super::{aliases, triggers};
use crate::record::{FunctionPage, FunctionQuery, FunctionWithVersions, ListedFunction, OrderBy};

/// A function with its versions and aliases.
pub(crate) async fn function(db: &mut SqliteConnection, id: &FunctionId) -> sqlx::Result<Option<FunctionWithVersions>> {
    let mut query = QueryBuilder::<Sqlite>::new(FUNCTION_AND_VERSION);
    query.push(" WHERE f.id = ").push_bind(id.as_str().to_owned()).push(" ORDER BY v.version");
    let rows = query.build().fetch_all(&mut *db).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(FunctionWithVersions {
        record: columns::function(first)?,
        versions: rows.iter().map(columns::version).collect::<sqlx::Result<_>>()?,
        aliases: aliases::of_function(db, id).await?,
        reserved_mb: columns::reserved_mb(first)?,
        provisioned: columns::provisioned(&rows)?,
        event_invoke: columns::event_invoke(first)?,
        triggers: triggers::of_function(db, id).await?,
    }))
}

/// Every function that is not being deleted.
pub(crate) async fn all(db: &mut SqliteConnection) -> sqlx::Result<Vec<FunctionWithVersions>> {
    let (mut aliases, mut triggers) = (aliases::all(db).await?, triggers::all(db).await?);
    let mut query = QueryBuilder::<Sqlite>::new(FUNCTION_AND_VERSION);
    query.push(" WHERE NOT f.deleting ORDER BY f.id, v.version");
    let rows = query.build().fetch_all(db).await?;
    let mut functions: HashMap<FunctionId, FunctionWithVersions> = HashMap::new();
    for row in &rows {
        let version = columns::version(row)?;
        match functions.get_mut(&version.function_id) {
            Some(function) => {
                function.versions.push(version);
                function.provisioned.extend(columns::provisioned_version(row)?);
            }
            None => {
                let record = columns::function(row)?;
                let aliases = aliases.remove(&record.id).unwrap_or_default();
                let (versions, reserved_mb) = (vec![version], columns::reserved_mb(row)?);
                let provisioned = columns::provisioned_version(row)?.into_iter().collect();
                let event_invoke = columns::event_invoke(row)?;
                let triggers = triggers.remove(&record.id).unwrap_or_default();
                let function = FunctionWithVersions {
                    record,
                    versions,
                    aliases,
                    reserved_mb,
                    provisioned,
                    event_invoke,
                    triggers,
                };
                functions.insert(function.record.id.clone(), function);
            }
        }
    }
    Ok(functions.into_values().collect())
}

/// A page of the matching functions, and the number of all matches.
pub(crate) async fn page(db: &mut SqliteConnection, wanted: &FunctionQuery) -> sqlx::Result<FunctionPage> {
    let mut count =
        QueryBuilder::<Sqlite>::new("SELECT COUNT(*) FROM functions f JOIN versions v ON v.function_id = f.id");
    push_conditions(&mut count, wanted);
    let total: i64 = count.build_query_scalar().fetch_one(&mut *db).await?;
    // The page is selected by id first, since sorting whole rows would copy the specification of
    // every match.
    let mut query = QueryBuilder::<Sqlite>::new(FUNCTION_AND_VERSION);
    query.push(" WHERE v.version = ").push_bind(columns::from_version(VersionName::Latest));
    query.push(" AND f.id IN (SELECT f.id FROM functions f JOIN versions v ON v.function_id = f.id");
    push_conditions(&mut query, wanted);
    push_order(&mut query, wanted);
    query.push(" LIMIT ").push_bind(i64::from(wanted.limit));
    query.push(" OFFSET ").push_bind(i64::from(wanted.offset));
    query.push(")");
    push_order(&mut query, wanted);
    let rows = query.build().fetch_all(db).await?;
    let functions = rows.iter().map(listed).collect::<sqlx::Result<_>>()?;
    Ok(FunctionPage { total: total.cast_unsigned(), functions })
}

fn listed(row: &SqliteRow) -> sqlx::Result<ListedFunction> {
    Ok(ListedFunction { record: columns::function(row)?, latest: columns::version(row)? })
}

fn push_conditions(query: &mut QueryBuilder<Sqlite>, wanted: &FunctionQuery) {
    query.push(" WHERE NOT f.replaced AND v.version = ").push_bind(columns::from_version(VersionName::Latest));
    query.push(" AND f.namespace = ").push_bind(wanted.namespace.as_str().to_owned());
    push_contains(query, "f.name", wanted.name_contains.as_deref());
    push_contains(query, "v.description", wanted.description_contains.as_deref());
    push_any_of(query, "v.status", wanted.statuses.iter().map(|status| status.as_str()));
    push_any_of(query, "f.kind", wanted.kinds.iter().map(|kind| kind.as_str()));
    if let Some(async_run) = wanted.async_run {
        query.push(" AND f.async_run = ").push_bind(async_run);
    }
    if let Some(trace) = wanted.trace {
        query.push(" AND f.trace = ").push_bind(trace);
    }
}

fn push_contains(query: &mut QueryBuilder<Sqlite>, column: &'static str, part: Option<&str>) {
    let Some(part) = part.filter(|part| !part.is_empty()) else { return };
    query.push(" AND LOWER(").push(column).push(") LIKE LOWER(").push_bind(like_pattern(part)).push(") ESCAPE '\\'");
}

/// A LIKE pattern for texts that contain `part`, with wildcards escaped by `\`.
fn like_pattern(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

fn push_any_of(
    query: &mut QueryBuilder<Sqlite>,
    column: &'static str,
    words: impl ExactSizeIterator<Item = &'static str>,
) {
    if words.len() == 0 {
        return;
    }
    query.push(" AND ").push(column).push(" IN (");
    let mut list = query.separated(", ");
    for word in words {
        list.push_bind(word);
    }
    query.push(")");
}

fn push_order(query: &mut QueryBuilder<Sqlite>, wanted: &FunctionQuery) {
    let column = match wanted.order_by {
        OrderBy::Added => "f.added_ms",
        OrderBy::Modified => "f.modified_ms",
        OrderBy::Name => "f.name",
    };
    let direction = if wanted.descending { " DESC" } else { " ASC" };
    query.push(" ORDER BY ").push(column).push(direction).push(", f.name").push(direction);
}

#[cfg(test)]
mod tests {
    use super::like_pattern;

    #[test]
    fn wildcards_of_a_search_are_taken_literally() {
        assert_eq!(like_pattern("a_b%c\\"), "%a\\_b\\%c\\\\%");
    }
}
