//! SQL over what is parked.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Deletes parked ticks whose run waits no longer, and all but the newest of a run that waits, at most `limit`. Rows that a relay
/// holds are left to it.
pub(super) async fn delete_void_ticks(
    connection: &mut PgConnection,
    exchange: &str,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    sqlx::query!(
        r#"
        WITH ticks AS (
            SELECT seq, (body::jsonb #>> '{data,run_id}')::uuid AS run_id FROM outbox_parked WHERE exchange = $1
        ), void AS (
            SELECT seq FROM (
                SELECT seq, run_id, row_number() OVER (PARTITION BY run_id ORDER BY seq DESC) AS place FROM ticks
            ) AS ranked
            WHERE place > 1 OR NOT EXISTS (SELECT FROM job_runs WHERE id = run_id AND state = 'queued')
            ORDER BY seq
            LIMIT $2
        )
        DELETE FROM outbox_parked
        WHERE seq IN (
            SELECT parked.seq FROM outbox_parked AS parked JOIN void USING (seq) FOR UPDATE OF parked SKIP LOCKED
        )
        "#,
        exchange,
        limit,
    )
    .execute(connection)
    .await
    .map(|result| result.rows_affected())
}

/// What is parked of an exchange.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) exchange: String,
    pub(super) rows: i64,
    pub(super) since: DateTime<Utc>,
}

/// What is parked, by exchange.
pub(super) async fn parked(connection: &mut PgConnection) -> Result<Vec<Parked>, sqlx::Error> {
    sqlx::query_as!(
        Parked,
        r#"
        SELECT exchange, count(*) AS "rows!", min(parked_at) AS "since!"
        FROM outbox_parked
        GROUP BY exchange
        ORDER BY exchange
        "#,
    )
    .fetch_all(connection)
    .await
}
