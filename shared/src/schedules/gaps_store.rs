//! The rows of `job_gaps`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::due::Gap;

/// Writes a gap. One that goes on where the last one ended, at `after`, lengthens it: an outage is one row however many
/// portions it is recorded in.
pub async fn record_gap(
    connection: &mut PgConnection,
    schedule_key: &str,
    after: DateTime<Utc>,
    gap: &Gap,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let lengthened = sqlx::query!(
        r#"
        UPDATE job_gaps
        SET last_at = $3, instants = instants + $4, recorded_at = $6
        WHERE schedule_key = $1 AND last_at = $2 AND reason = $5
        "#,
        schedule_key,
        after,
        gap.last_at,
        gap.instants,
        gap.reason.as_str(),
        now,
    )
    .execute(&mut *connection)
    .await?;
    if lengthened.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query!(
        r#"
        INSERT INTO job_gaps (schedule_key, first_at, last_at, instants, reason, recorded_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (schedule_key, first_at) DO NOTHING
        "#,
        schedule_key,
        gap.first_at,
        gap.last_at,
        gap.instants,
        gap.reason.as_str(),
        now,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// The gap that reaches beyond `now`, if there is one: its key and its first instant.
pub async fn gap_across(
    connection: &mut PgConnection,
    schedule_key: &str,
    now: DateTime<Utc>,
) -> Result<Option<(i64, DateTime<Utc>)>, sqlx::Error> {
    let gap = sqlx::query!(
        "SELECT id, first_at FROM job_gaps WHERE schedule_key = $1 AND first_at <= $2 AND last_at > $2",
        schedule_key,
        now,
    );
    Ok(gap.fetch_optional(connection).await?.map(|row| (row.id, row.first_at)))
}

/// Has a gap end earlier.
pub async fn shorten_gap(
    connection: &mut PgConnection,
    id: i64,
    last_at: DateTime<Utc>,
    instants: i64,
) -> Result<(), sqlx::Error> {
    let shortened =
        sqlx::query!("UPDATE job_gaps SET last_at = $2, instants = $3 WHERE id = $1", id, last_at, instants);
    shortened.execute(connection).await.map(|_| ())
}
