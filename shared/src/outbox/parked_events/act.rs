//! Sending parked events again and throwing them away: rows and events in one transaction.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::contracts::Event;
use crate::contracts::operators::{BodyDigest, ParkedDiscarded, ParkedEvent, ParkedReplayed};
use crate::ids::EventId;
use crate::operator::{Batch, Deed, Filter, Operation, Pick};
use crate::outbox::{AppendError, Outbox};

/// How many rows are acted upon in one transaction.
const BATCH: i64 = 500;

/// Why nothing was done to a batch.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The database did not do its part.
    #[error("the parked events can't be changed; nothing was done to this batch")]
    Database(#[from] sqlx::Error),
    /// The event that tells it could not be written.
    #[error("what was done can't be told, so it was not done")]
    Untold(#[from] AppendError),
}

/// Puts parked events into the outbox again.
pub async fn replay(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    pick: Pick<Uuid>,
) -> Result<Batch, ActError> {
    let mut transaction = database.begin().await?;
    let rows = lock(&mut transaction, &pick).await?;
    let places: Vec<i64> = rows.iter().map(|row| row.place).collect();
    sqlx::query!(
        r#"
        WITH freed AS (
            DELETE FROM outbox_parked
            WHERE seq = ANY($1)
            RETURNING seq, event_id, exchange, routing_key, headers, body, created_at
        )
        INSERT INTO outbox (seq, event_id, exchange, routing_key, headers, body, created_at)
        OVERRIDING SYSTEM VALUE
        SELECT seq, event_id, exchange, routing_key, headers, body, created_at
        FROM freed
        -- Somebody put it back by hand: it is sent once.
        ON CONFLICT DO NOTHING
        "#,
        &places,
    )
    .execute(&mut *transaction)
    .await?;
    tell(&mut transaction, outbox, operation, &rows, ParkedReplayed).await?;
    transaction.commit().await?;
    outbox.wake();
    Ok(batch(&pick, &rows))
}

/// Deletes parked events: nobody will be told of their facts.
pub async fn discard(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    pick: Pick<Uuid>,
) -> Result<Batch, ActError> {
    let mut transaction = database.begin().await?;
    let rows = lock(&mut transaction, &pick).await?;
    let places: Vec<i64> = rows.iter().map(|row| row.place).collect();
    sqlx::query!("DELETE FROM outbox_parked WHERE seq = ANY($1)", &places).execute(&mut *transaction).await?;
    tell(&mut transaction, outbox, operation, &rows, ParkedDiscarded).await?;
    transaction.commit().await?;
    outbox.wake();
    Ok(batch(&pick, &rows))
}

async fn tell<E: Event>(
    connection: &mut PgConnection,
    outbox: &Outbox,
    operation: &Operation,
    rows: &[Locked],
    event: fn(ParkedEvent) -> E,
) -> Result<(), AppendError> {
    let events = rows.iter().map(|row| event(row.told(operation)));
    outbox.append_all(connection, &operation.trace, events).await.map(|_| ())
}

fn batch(pick: &Pick<Uuid>, rows: &[Locked]) -> Batch {
    let mut deeds: Vec<Deed> = rows.iter().map(|row| Deed::done(&row.event_id)).collect();
    if let Pick::Named(ids) = pick {
        let there: HashSet<Uuid> = rows.iter().map(|row| row.event_id).collect();
        let missing = ids.iter().filter(|id| !there.contains(*id));
        deeds.extend(
            missing.map(|id| {
                Deed::failed(id, "no parked event has this id; a relay may be trying it: look again")
            }),
        );
    }
    Batch { deeds, last: rows.last().map(|row| row.place) }
}

/// A row that nobody else can act upon now.
struct Locked {
    place: i64,
    event_id: Uuid,
    event_type: Option<String>,
    exchange: String,
    routing_key: String,
    parked_at: DateTime<Utc>,
    reason: String,
    body_bytes: i32,
    body_sha256: String,
}

impl Locked {
    fn told(&self, operation: &Operation) -> ParkedEvent {
        ParkedEvent {
            event_id: EventId(self.event_id),
            event_type: self.event_type.clone(),
            place: self.place,
            exchange: self.exchange.clone(),
            routing_key: self.routing_key.clone(),
            parked_at: self.parked_at,
            parked_for: self.reason.clone(),
            body: BodyDigest {
                body_bytes: self.body_bytes.unsigned_abs().into(),
                body_sha256: self.body_sha256.clone(),
            },
            act: operation.act.clone(),
        }
    }
}

/// In the order of their places, so that two operators wait for each other instead of deadlocking.
async fn lock(connection: &mut PgConnection, pick: &Pick<Uuid>) -> Result<Vec<Locked>, sqlx::Error> {
    let nothing = Filter::default();
    let (ids, filter, place) = match pick {
        Pick::Named(ids) => (Some(ids.as_slice()), &nothing, i64::MIN),
        Pick::Behind { filter, place } => (None, filter, *place),
    };
    sqlx::query_as!(
        Locked,
        r#"
        SELECT seq AS place, event_id, headers ->> 'type' AS event_type, exchange, routing_key, parked_at, reason,
            octet_length(body) AS "body_bytes!", encode(sha256(convert_to(body, 'UTF8')), 'hex') AS "body_sha256!"
        FROM outbox_parked
        WHERE ($1::uuid[] IS NULL OR event_id = ANY($1))
            AND ($2::text IS NULL OR headers ->> 'type' LIKE $2)
            AND ($3::text IS NULL OR strpos(lower(reason), lower($3)) > 0)
            AND ($4::timestamptz IS NULL OR parked_at <= $4)
            AND ($5::timestamptz IS NULL OR parked_at >= $5)
            AND seq > $6
        ORDER BY seq
        LIMIT $7
        FOR UPDATE
        "#,
        ids,
        filter.type_like(),
        filter.reason_contains.as_deref(),
        filter.until,
        filter.since,
        place,
        BATCH,
    )
    .fetch_all(connection)
    .await
}
