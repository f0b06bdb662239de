//! Judging the quarantine anew, and throwing away: rows and events in one transaction.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use shared::clock::Clock;
use shared::contracts::operators::{BodyDigest, QuarantineDiscarded, QuarantineReplayed, QuarantinedMessage};
use shared::ids::EventId;
use shared::operator::{Batch, Deed, Filter, Operation, Pick};
use shared::outbox::{AppendError, Outbox};
use sqlx::{Connection, PgConnection, PgPool};

use crate::audit::{Candidate, Message, insert_entries, is_refusal, other, with_other_bodies};
use crate::deliveries::classify;

/// How many rows are acted upon in one transaction: their bodies are in memory together.
const BATCH: i64 = 50;
/// The longest type that an event repeats of a stranger's message; AMQP allows no longer one.
const TYPE_CHARS_MAX: usize = 255;

/// Why nothing was done to a batch.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The database did not do its part.
    #[error("the quarantine can't be changed; nothing was done to this batch")]
    Database(#[from] sqlx::Error),
    /// The event that tells it could not be written.
    #[error("what was done can't be told, so it was not done")]
    Untold(#[from] AppendError),
}

/// Judges messages by the rules of this build. What can be read is recorded and leaves the quarantine; what can't stays as it
/// is, and the deed says why: nothing changes that no event tells of.
pub async fn replay(
    database: &PgPool,
    (outbox, clock): (&Outbox, &Clock),
    operation: &Operation,
    pick: Pick<i64>,
) -> Result<Batch, ActError> {
    let mut transaction = database.begin().await?;
    let rows = lock(&mut transaction, &pick).await?;
    let (mut deeds, mut told) = (Vec::new(), Vec::new());
    for row in &rows {
        match record(&mut transaction, row, clock.now()).await? {
            Ok((event_id, recorded)) => {
                deeds.push(Deed::done_so(&row.id, how(event_id, recorded)));
                told.push(QuarantineReplayed { message: row.told(operation), event_id, recorded });
            }
            Err(reason) => deeds.push(Deed::failed(&row.id, reason)),
        }
    }
    let gone: Vec<i64> = told.iter().map(|event| event.message.quarantine_id).collect();
    delete(&mut transaction, &gone).await?;
    outbox.append_all(&mut transaction, &operation.trace, told).await?;
    transaction.commit().await?;
    outbox.wake();
    Ok(batch(&pick, &rows, deeds))
}

/// Deletes messages of the quarantine.
pub async fn discard(
    database: &PgPool,
    outbox: &Outbox,
    operation: &Operation,
    pick: Pick<i64>,
) -> Result<Batch, ActError> {
    let mut transaction = database.begin().await?;
    let rows = lock(&mut transaction, &pick).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    delete(&mut transaction, &ids).await?;
    let told = rows.iter().map(|row| QuarantineDiscarded(row.told(operation)));
    outbox.append_all(&mut transaction, &operation.trace, told).await?;
    transaction.commit().await?;
    outbox.wake();
    let deeds = ids.iter().map(Deed::done).collect();
    Ok(batch(&pick, &rows, deeds))
}

fn how(event_id: EventId, recorded: bool) -> String {
    if recorded { format!("recorded as {event_id}") } else { format!("{event_id} was recorded already") }
}

fn batch(pick: &Pick<i64>, rows: &[Locked], mut deeds: Vec<Deed>) -> Batch {
    if let Pick::Named(ids) = pick {
        let there: HashSet<i64> = rows.iter().map(|row| row.id).collect();
        let missing = ids.iter().filter(|id| !there.contains(*id));
        deeds.extend(missing.map(|id| Deed::failed(id, "no message of the quarantine has this id")));
    }
    Batch { deeds, last: rows.last().map(|row| row.id) }
}

/// Writes a message to the trail if it can be read: its id, and whether it is new there. Else why it stays.
async fn record(
    connection: &mut PgConnection,
    row: &Locked,
    now: DateTime<Utc>,
) -> Result<Result<(EventId, bool), String>, sqlx::Error> {
    let message = Message { message_id: row.message_id.as_deref(), body: &row.raw, delivery: None };
    let entry = match classify(&message, now) {
        Ok(entry) => entry,
        Err(reason) => return Ok(Err(reason.to_string())),
    };
    let (event_id, candidates) = (entry.event_id, [Candidate { entry, message }]);
    // A row that the database refuses must not end the transaction of the others.
    let mut savepoint = connection.begin().await?;
    let new = match insert_entries(&mut savepoint, &candidates).await {
        Ok(new) => new,
        Err(error) if is_refusal(&error) => {
            savepoint.rollback().await?;
            return Ok(Err(format!("the database refuses the row: {error}")));
        }
        Err(error) => return Err(error),
    };
    if new == 0 && !with_other_bodies(&mut savepoint, &candidates).await?.is_empty() {
        savepoint.rollback().await?;
        let [candidate] = &candidates;
        return Ok(Err(other(candidate).reason));
    }
    savepoint.commit().await?;
    Ok(Ok((event_id, new > 0)))
}

/// A row that nobody else can act upon now.
struct Locked {
    id: i64,
    digest: String,
    message_id: Option<String>,
    event_type: Option<String>,
    first_seen: DateTime<Utc>,
    body_sha256: String,
    raw: Vec<u8>,
}

impl Locked {
    fn told(&self, operation: &Operation) -> QuarantinedMessage {
        let event_type = self.event_type.as_ref();
        QuarantinedMessage {
            quarantine_id: self.id,
            digest: self.digest.clone(),
            message_id: self.message_id.clone(),
            event_type: event_type.map(|name| name.chars().take(TYPE_CHARS_MAX).collect()),
            first_seen: self.first_seen,
            body: BodyDigest {
                body_bytes: u64::try_from(self.raw.len()).unwrap_or(u64::MAX),
                body_sha256: self.body_sha256.clone(),
            },
            act: operation.act.clone(),
        }
    }
}

/// In the order of their ids, so that two operators wait for each other instead of deadlocking.
async fn lock(connection: &mut PgConnection, pick: &Pick<i64>) -> Result<Vec<Locked>, sqlx::Error> {
    let nothing = Filter::default();
    let (ids, filter, place) = match pick {
        Pick::Named(ids) => (Some(ids.as_slice()), &nothing, i64::MIN),
        Pick::Behind { filter, place } => (None, filter, *place),
    };
    sqlx::query_as!(
        Locked,
        r#"
        SELECT id, encode(digest, 'hex') AS "digest!", properties ->> 'message_id' AS message_id,
            properties ->> 'type' AS event_type, first_seen, encode(sha256(raw), 'hex') AS "body_sha256!", raw
        FROM audit.quarantine
        WHERE ($1::bigint[] IS NULL OR id = ANY($1))
            AND ($2::text IS NULL OR properties ->> 'type' LIKE $2)
            AND ($3::text IS NULL OR strpos(lower(reason), lower($3)) > 0)
            AND ($4::timestamptz IS NULL OR first_seen <= $4)
            AND ($5::timestamptz IS NULL OR first_seen >= $5)
            AND id > $6
        ORDER BY id
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

async fn delete(connection: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM audit.quarantine WHERE id = ANY($1)", ids).execute(connection).await.map(|_| ())
}
