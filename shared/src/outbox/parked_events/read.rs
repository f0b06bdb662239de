//! Looking at parked events.

use sqlx::PgPool;
use uuid::Uuid;

use super::Parked;
use crate::operator::{Counts, Filter};

/// The oldest that match, or the newest, at most `limit`.
pub async fn list(
    database: &PgPool,
    filter: &Filter,
    newest: bool,
    limit: i64,
) -> Result<Vec<Parked>, sqlx::Error> {
    sqlx::query_as!(
        Parked,
        r#"
        SELECT event_id, headers ->> 'type' AS event_type, seq AS place, exchange, routing_key, created_at, parked_at,
            attempts, parkings, CASE WHEN isfinite(retry_at) THEN retry_at END AS retry_at, reason,
            octet_length(body) AS "body_bytes!"
        FROM outbox_parked
        WHERE ($1::text IS NULL OR headers ->> 'type' LIKE $1)
            AND ($2::text IS NULL OR strpos(lower(reason), lower($2)) > 0)
            AND ($3::timestamptz IS NULL OR parked_at <= $3)
            AND ($4::timestamptz IS NULL OR parked_at >= $4)
        ORDER BY CASE WHEN $5 THEN parked_at END DESC, CASE WHEN NOT $5 THEN parked_at END, seq
        LIMIT $6
        "#,
        filter.type_like(),
        filter.reason_contains.as_deref(),
        filter.until,
        filter.since,
        newest,
        limit,
    )
    .fetch_all(database)
    .await
}

/// How many match, and how many there are.
pub async fn count(database: &PgPool, filter: &Filter) -> Result<Counts, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT
            count(*) AS "all!",
            count(*) FILTER (
                WHERE ($1::text IS NULL OR headers ->> 'type' LIKE $1)
                    AND ($2::text IS NULL OR strpos(lower(reason), lower($2)) > 0)
                    AND ($3::timestamptz IS NULL OR parked_at <= $3)
                    AND ($4::timestamptz IS NULL OR parked_at >= $4)
            ) AS "matching!"
        FROM outbox_parked
        "#,
        filter.type_like(),
        filter.reason_contains.as_deref(),
        filter.until,
        filter.since,
    )
    .fetch_one(database)
    .await?;
    Ok(Counts { matching: Some(row.matching.unsigned_abs()), all: row.all.unsigned_abs() })
}

/// One of them with its body, if it is there.
pub async fn find(database: &PgPool, event_id: Uuid) -> Result<Option<(Parked, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT event_id, headers ->> 'type' AS event_type, seq AS place, exchange, routing_key, created_at, parked_at,
            attempts, parkings, CASE WHEN isfinite(retry_at) THEN retry_at END AS retry_at, reason,
            octet_length(body) AS "body_bytes!", body
        FROM outbox_parked
        WHERE event_id = $1
        "#,
        event_id,
    )
    .fetch_optional(database)
    .await?;
    Ok(row.map(|row| {
        let parked = Parked {
            event_id: row.event_id,
            event_type: row.event_type,
            place: row.place,
            exchange: row.exchange,
            routing_key: row.routing_key,
            created_at: row.created_at,
            parked_at: row.parked_at,
            attempts: row.attempts,
            parkings: row.parkings,
            retry_at: row.retry_at,
            reason: row.reason,
            body_bytes: row.body_bytes,
        };
        (parked, row.body)
    }))
}
