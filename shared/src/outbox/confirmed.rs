//! Confirmed rows: the broker has the message, and nobody has seen its row of the trail yet.
//!
//! A confirm says that *some* queue has the message. Where the trail's binding is missing, the queue of a replica or of
//! another team makes it routable all the same, and a queue can be deleted with what is in it. So a row is kept until the
//! trail has it, or the quarantine has its very bytes: anybody's copy may lie there under its id. If the trail has an event that
//! arose later than this one was confirmed, it is missing: the queue keeps its order. It is parked, and so sent again after a wait that grows. As long as the trail has nothing later
//! (the consumers are down, or behind) nothing is sent again. To send one too many does no harm: readers go by the id.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection};

use super::parked;
use crate::entropy::Entropy;
use crate::ids::EventId;

/// How much later a recorded event must have arisen than an unrecorded one was confirmed. Consumers side by side don't keep
/// the order: one that can't write holds its messages for a minute, and for its last try half a minute more. Clocks differ, too.
const MARGIN: TimeDelta = TimeDelta::seconds(130);

/// Moves rows that the broker confirmed here, in the transaction that claimed them.
pub(super) async fn keep(connection: &mut PgConnection, rows: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        WITH confirmed AS (
            DELETE FROM outbox WHERE seq = ANY($1)
            RETURNING seq, event_id, exchange, routing_key, headers, body, created_at, attempts, parkings
        )
        INSERT INTO outbox_confirmed
            (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, parkings)
        SELECT seq, event_id, exchange, routing_key, headers, body, created_at, attempts, parkings
        FROM confirmed
        "#,
        rows,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes those of the `limit` oldest rows that have arrived in the trail or in the quarantine. Gives how many.
pub(super) async fn forget_arrived(connection: &mut PgConnection, limit: i64) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        WITH looked_at AS MATERIALIZED (
            SELECT confirmed_at, seq, event_id, body FROM outbox_confirmed
            ORDER BY confirmed_at, seq
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        ), arrived AS MATERIALIZED (
            SELECT confirmed_at, seq FROM looked_at
            -- Each limit keeps the lookup one by the key: without it the whole trail might be hashed.
            LEFT JOIN LATERAL (
                SELECT TRUE AS there FROM audit.events WHERE events.event_id = looked_at.event_id LIMIT 1
            ) AS recorded ON TRUE
            LEFT JOIN LATERAL (
                SELECT TRUE AS there FROM audit.quarantine
                WHERE recorded.there IS NULL AND quarantine.message_id = looked_at.event_id::text
                    -- As the consumer makes it: of the message id and the body as they came.
                    AND quarantine.digest = sha256(convert_to(looked_at.event_id::text || looked_at.body, 'UTF8'))
                LIMIT 1
            ) AS quarantined ON TRUE
            WHERE recorded.there OR quarantined.there
        )
        DELETE FROM outbox_confirmed USING arrived
        WHERE outbox_confirmed.confirmed_at = arrived.confirmed_at AND outbox_confirmed.seq = arrived.seq
        "#,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Parks rows that are missing: at most `limit` of those that have not arrived though a later event has. Gives of which
/// exchange each is.
pub(super) async fn park_missing(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    entropy: &Entropy,
    limit: i64,
) -> Result<Vec<String>, sqlx::Error> {
    let Some(arose_at) = newest_recorded(connection).await? else { return Ok(Vec::new()) };
    let mut transaction = connection.begin().await?;
    let missing = sqlx::query!(
        r#"
        WITH overdue AS MATERIALIZED (
            SELECT confirmed_at, seq, event_id, body, parkings FROM outbox_confirmed
            WHERE confirmed_at < $1
            ORDER BY confirmed_at, seq
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        SELECT confirmed_at, seq, parkings FROM overdue
        LEFT JOIN LATERAL (
            SELECT TRUE AS there FROM audit.events WHERE events.event_id = overdue.event_id LIMIT 1
        ) AS recorded ON TRUE
        LEFT JOIN LATERAL (
            SELECT TRUE AS there FROM audit.quarantine
            WHERE recorded.there IS NULL AND quarantine.message_id = overdue.event_id::text
                AND quarantine.digest = sha256(convert_to(overdue.event_id::text || overdue.body, 'UTF8'))
            LIMIT 1
        ) AS quarantined ON TRUE
        WHERE recorded.there IS NULL AND quarantined.there IS NULL
        "#,
        arose_at - MARGIN,
        limit,
    )
    .fetch_all(&mut *transaction)
    .await?;
    if missing.is_empty() {
        // sqlx sends the end of a transaction that is dropped with the next question, and it holds the trail until then.
        transaction.rollback().await?;
        return Ok(Vec::new());
    }
    let confirmed_at: Vec<_> = missing.iter().map(|row| row.confirmed_at).collect();
    let places: Vec<_> = missing.iter().map(|row| row.seq).collect();
    let retry_at: Vec<_> = missing.iter().map(|row| now + parked::wait(row.parkings, entropy)).collect();
    let exchanges = sqlx::query_scalar!(
        r#"
        WITH missing AS (
            DELETE FROM outbox_confirmed
            USING UNNEST($1::timestamptz[], $2::bigint[], $3::timestamptz[]) AS row (confirmed_at, seq, retry_at)
            WHERE outbox_confirmed.confirmed_at = row.confirmed_at AND outbox_confirmed.seq = row.seq
            RETURNING outbox_confirmed.*, row.retry_at
        )
        INSERT INTO outbox_parked (
            seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason, parkings, retry_at
        )
        SELECT
            seq, event_id, exchange, routing_key, headers, body, created_at, attempts + 1,
            'RabbitMQ confirmed it at ' || to_char(confirmed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                || '; the trail has later events and not this one',
            parkings + 1, retry_at
        FROM missing
        -- Somebody copied it by hand: it is parked once.
        ON CONFLICT DO NOTHING
        RETURNING exchange
        "#,
        &confirmed_at,
        &places,
        &retry_at,
    )
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(exchanges)
}

/// When the newest event of the trail arose.
async fn newest_recorded(connection: &mut PgConnection) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    // Ids come from senders. One that was from the future when it was recorded, by more than clocks differ, proves nothing, also
    // when its time has come.
    let newest = sqlx::query_scalar!(
        r#"
        SELECT event_id AS "event_id!" FROM (
            SELECT event_id, recorded_at FROM audit.events
            WHERE event_id < audit.id_at(now())
            ORDER BY event_id DESC
            LIMIT 100
        ) AS newest
        WHERE event_id < audit.id_at(recorded_at + interval '30 seconds')
        ORDER BY event_id DESC
        LIMIT 1
        "#,
    )
    .fetch_optional(connection)
    .await?;
    Ok(newest.and_then(|id| EventId(id).arose_at()))
}
