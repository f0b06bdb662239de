//! Looking at the quarantine.

use shared::operator::{Counts, Filter};
use sqlx::PgPool;

use super::{InFull, Quarantined};

/// The oldest that match, or the newest, at most `limit`.
pub async fn list(
    database: &PgPool,
    filter: &Filter,
    newest: bool,
    limit: i64,
) -> Result<Vec<Quarantined>, sqlx::Error> {
    sqlx::query_as!(
        Quarantined,
        r#"
        SELECT id, properties ->> 'message_id' AS message_id, properties ->> 'type' AS event_type,
            properties ->> 'exchange' AS exchange, properties ->> 'routing_key' AS routing_key, reason, first_seen,
            octet_length(raw) AS "body_bytes!"
        FROM audit.quarantine
        WHERE ($1::text IS NULL OR properties ->> 'type' LIKE $1)
            AND ($2::text IS NULL OR strpos(lower(reason), lower($2)) > 0)
            AND ($3::timestamptz IS NULL OR first_seen <= $3)
            AND ($4::timestamptz IS NULL OR first_seen >= $4)
        ORDER BY CASE WHEN $5 THEN id END DESC, CASE WHEN NOT $5 THEN id END
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
                WHERE ($1::text IS NULL OR properties ->> 'type' LIKE $1)
                    AND ($2::text IS NULL OR strpos(lower(reason), lower($2)) > 0)
                    AND ($3::timestamptz IS NULL OR first_seen <= $3)
                    AND ($4::timestamptz IS NULL OR first_seen >= $4)
            ) AS "matching!"
        FROM audit.quarantine
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

/// One of them in full, if it is there.
pub async fn find(database: &PgPool, id: i64) -> Result<Option<InFull>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        SELECT id, properties ->> 'message_id' AS message_id, properties ->> 'type' AS event_type,
            properties ->> 'exchange' AS exchange, properties ->> 'routing_key' AS routing_key, reason, first_seen,
            octet_length(raw) AS "body_bytes!", encode(digest, 'hex') AS "digest!", properties, raw
        FROM audit.quarantine
        WHERE id = $1
        "#,
        id,
    )
    .fetch_optional(database)
    .await?;
    Ok(row.map(|row| InFull {
        row: Quarantined {
            id: row.id,
            message_id: row.message_id,
            event_type: row.event_type,
            exchange: row.exchange,
            routing_key: row.routing_key,
            reason: row.reason,
            first_seen: row.first_seen,
            body_bytes: row.body_bytes,
        },
        digest: row.digest,
        properties: row.properties,
        raw: row.raw,
    }))
}
