//! Statements on settings of functions that take effect without a deploy (quotas, events), and on
//! the row of `settings`.

use sqlx::SqliteConnection;
use types::{EventInvokeConfig, FunctionId};

/// The quota of the installation, in MB; `None` for the configuration's quota.
pub(crate) async fn total(db: &mut SqliteConnection) -> sqlx::Result<Option<u64>> {
    let quota: Option<i64> = sqlx::query_scalar("SELECT quota_mb FROM settings WHERE id = 1").fetch_one(db).await?;
    Ok(quota.map(i64::cast_unsigned))
}

pub(crate) async fn set_total(db: &mut SqliteConnection, quota_mb: u64) -> sqlx::Result<()> {
    sqlx::query("UPDATE settings SET quota_mb = $1 WHERE id = 1").bind(quota_mb.cast_signed()).execute(db).await?;
    Ok(())
}

/// Sum of the reservations of all functions except this one, in MB, without functions that are
/// being deleted.
pub(crate) async fn reserved_by_others(db: &mut SqliteConnection, id: Option<&FunctionId>) -> sqlx::Result<u64> {
    let sum: i64 = sqlx::query_scalar(
        "SELECT COALESCE(SUM(reserved_mb), 0) FROM functions WHERE NOT deleting AND ($1 IS NULL OR id <> $1)",
    )
    .bind(id.map(FunctionId::as_str))
    .fetch_one(db)
    .await?;
    Ok(sum.cast_unsigned())
}

pub(crate) async fn set_reserved(
    db: &mut SqliteConnection,
    id: &FunctionId,
    reserved_mb: Option<u64>,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE functions SET reserved_mb = $2 WHERE id = $1")
        .bind(id.as_str())
        .bind(reserved_mb.map(u64::cast_signed))
        .execute(db)
        .await?;
    Ok(())
}

pub(crate) async fn set_event_invoke(
    db: &mut SqliteConnection,
    id: &FunctionId,
    config: EventInvokeConfig,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE functions SET event_retries_max = $2, event_ttl_s = $3 WHERE id = $1")
        .bind(id.as_str())
        .bind(i64::from(config.retries_max))
        .bind(i64::from(config.ttl_s))
        .execute(db)
        .await?;
    Ok(())
}
