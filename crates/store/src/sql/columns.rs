//! Conversion between records and columns.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use types::{
    EventInvokeConfig, FunctionKey, FunctionKind, FunctionRecord, PinnedImage, ProvisionedSpec, Serving, Status,
    VersionKey, VersionName, VersionRecord,
};

use crate::record::NamespaceRecord;

/// Functions with their versions, as [`function`] and [`version`] read them.
pub(crate) const FUNCTION_AND_VERSION: &str = "
    SELECT f.id, f.namespace, f.name, f.kind, f.protocol, f.async_run, f.trace, f.tags, f.reserved_mb,
        f.event_retries_max, f.event_ttl_s,
        f.added_ms AS function_added_ms, f.modified_ms AS function_modified_ms,
        v.version, v.provisioned, v.status, v.reasons, v.generation, v.desired, v.resolve,
        v.serving_generation, v.serving_spec, v.serving_digest, v.serving_size_bytes, v.added_ms, v.modified_ms
    FROM functions f JOIN versions v ON v.function_id = f.id";

/// A text column with an unknown value.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no {wanted}")]
struct UnknownWord {
    text: String,
    wanted: &'static str,
}

fn undecodable(column: &str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }
}

/// A column that holds an identifier.
pub(crate) fn parsed<T>(row: &SqliteRow, column: &str) -> sqlx::Result<T>
where
    T: FromStr<Err: StdError + Send + Sync + 'static>,
{
    row.try_get::<&str, _>(column)?.parse().map_err(|error| undecodable(column, error))
}

/// A JSON column.
pub(crate) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    serde_json::from_str(row.try_get(column)?).map_err(|error| undecodable(column, error))
}

/// Provisioned concurrency of the versions in these rows, all of one function.
pub(crate) fn provisioned(rows: &[SqliteRow]) -> sqlx::Result<BTreeMap<VersionName, Arc<ProvisionedSpec>>> {
    let mut all = BTreeMap::new();
    for row in rows {
        all.extend(provisioned_version(row)?);
    }
    Ok(all)
}

/// Provisioned concurrency of the version in this row.
pub(crate) fn provisioned_version(row: &SqliteRow) -> sqlx::Result<Option<(VersionName, Arc<ProvisionedSpec>)>> {
    match row.try_get::<Option<&str>, _>("provisioned")? {
        Some(_) => Ok(Some((version_name(row)?, Arc::new(json(row, "provisioned")?)))),
        None => Ok(None),
    }
}

/// Reservation of a function.
pub(crate) fn reserved_mb(row: &SqliteRow) -> sqlx::Result<Option<u64>> {
    Ok(row.try_get::<Option<i64>, _>("reserved_mb")?.map(i64::cast_unsigned))
}

/// Retry settings of a function's events.
pub(crate) fn event_invoke(row: &SqliteRow) -> sqlx::Result<EventInvokeConfig> {
    let default = EventInvokeConfig::default();
    Ok(EventInvokeConfig {
        retries_max: row.try_get::<Option<u32>, _>("event_retries_max")?.unwrap_or(default.retries_max),
        ttl_s: row.try_get::<Option<u32>, _>("event_ttl_s")?.unwrap_or(default.ttl_s),
    })
}

/// A record as the text of a JSON column.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("records have only text as keys of maps")
}

/// A generation as a column; generations count from 1 and never reach the sign bit.
pub(crate) fn from_generation(generation: u64) -> i64 {
    generation.cast_signed()
}

/// A version's name as a column: 0 for `$LATEST`, which sorts it first.
pub(crate) fn from_version(version: VersionName) -> i64 {
    match version {
        VersionName::Latest => 0,
        VersionName::Number(number) => i64::from(number),
    }
}

/// The column `version`.
pub(crate) fn version_name(row: &SqliteRow) -> sqlx::Result<VersionName> {
    to_version("version", row.try_get("version")?)
}

/// A column with the name of a version, or NULL.
pub(crate) fn optional_version(row: &SqliteRow, column: &str) -> sqlx::Result<Option<VersionName>> {
    row.try_get::<Option<i64>, _>(column)?.map(|number| to_version(column, number)).transpose()
}

/// The number of a published version.
pub(crate) fn published_number(row: &SqliteRow, column: &str) -> sqlx::Result<u32> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(|error| undecodable(column, error))
}

fn to_version(column: &str, number: i64) -> sqlx::Result<VersionName> {
    match u32::try_from(number) {
        Ok(0) => Ok(VersionName::Latest),
        Ok(number) => Ok(VersionName::Number(number)),
        Err(error) => Err(undecodable(column, error)),
    }
}

/// The column `status`.
pub(crate) fn status(row: &SqliteRow) -> sqlx::Result<Status> {
    const ALL: [Status; 9] = [
        Status::Creating,
        Status::CreateFailed,
        Status::Active,
        Status::Updating,
        Status::UpdateFailed,
        Status::Publishing,
        Status::PublishFailed,
        Status::Deleting,
        Status::DeleteFailed,
    ];
    let word: &str = row.try_get("status")?;
    let unknown = || undecodable("status", UnknownWord { text: word.to_owned(), wanted: "state of a version" });
    ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(unknown)
}

fn kind(row: &SqliteRow) -> sqlx::Result<FunctionKind> {
    let word: &str = row.try_get("kind")?;
    let unknown = || undecodable("kind", UnknownWord { text: word.to_owned(), wanted: "kind of function" });
    [FunctionKind::Event, FunctionKind::Http].into_iter().find(|kind| kind.as_str() == word).ok_or_else(unknown)
}

/// A namespace from a row of its table.
pub(crate) fn namespace(row: &SqliteRow) -> sqlx::Result<NamespaceRecord> {
    Ok(NamespaceRecord {
        name: parsed(row, "name")?,
        description: row.try_get("description")?,
        added_ms: row.try_get("added_ms")?,
        modified_ms: row.try_get("modified_ms")?,
    })
}

/// The function's columns in a row of [`FUNCTION_AND_VERSION`].
pub(crate) fn function(row: &SqliteRow) -> sqlx::Result<FunctionRecord> {
    Ok(FunctionRecord {
        id: parsed(row, "id")?,
        key: FunctionKey { namespace: parsed(row, "namespace")?, name: parsed(row, "name")? },
        kind: kind(row)?,
        protocol: row.try_get("protocol")?,
        async_run: row.try_get("async_run")?,
        trace: row.try_get("trace")?,
        tags: json(row, "tags")?,
        added_ms: row.try_get("function_added_ms")?,
        modified_ms: row.try_get("function_modified_ms")?,
    })
}

/// The version's columns in a row of [`FUNCTION_AND_VERSION`].
pub(crate) fn version(row: &SqliteRow) -> sqlx::Result<VersionRecord> {
    Ok(VersionRecord {
        function_id: parsed(row, "id")?,
        version: version_name(row)?,
        status: status(row)?,
        reasons: json(row, "reasons")?,
        generation: row.try_get::<i64, _>("generation")?.cast_unsigned(),
        desired: json(row, "desired")?,
        resolve: row.try_get("resolve")?,
        serving: serving(row)?,
        added_ms: row.try_get("added_ms")?,
        modified_ms: row.try_get("modified_ms")?,
    })
}

fn serving(row: &SqliteRow) -> sqlx::Result<Option<Serving>> {
    let Some(generation) = row.try_get::<Option<i64>, _>("serving_generation")? else { return Ok(None) };
    let image = PinnedImage {
        digest: parsed(row, "serving_digest")?,
        size_bytes: row.try_get::<i64, _>("serving_size_bytes")?.cast_unsigned(),
    };
    Ok(Some(Serving { generation: generation.cast_unsigned(), spec: json(row, "serving_spec")?, image }))
}

/// A version's identity from a row with `function_id`, `version` and `generation`.
pub(crate) fn version_key(row: &SqliteRow) -> sqlx::Result<VersionKey> {
    Ok(VersionKey {
        function_id: parsed(row, "function_id")?,
        version: version_name(row)?,
        generation: row.try_get::<i64, _>("generation")?.cast_unsigned(),
    })
}
