//! Writing an event.

use std::sync::Arc;

use sqlx::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use super::draft::EventDraft;
use crate::clock::Clock;
use crate::contracts::envelope::SEQUENCE_DIGITS;
use crate::contracts::{Envelope, Event, EventType, RowEvent};
use crate::entropy::Entropy;
use crate::ids::EventId;
use crate::telemetry::TraceContext;

/// Why an event could not be written. Its fact must not be committed then.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The payload can't be written as JSON, a fault of its type.
    #[error("the event {0} can't be encoded")]
    Encode(&'static str, #[source] serde_json::Error),
    /// The database refused the row.
    #[error("the event {0} can't be written to the outbox")]
    Write(&'static str, #[source] sqlx::Error),
}

/// A program's way to the outbox. Clones share the signal that wakes the relay.
#[derive(Debug, Clone)]
pub struct Outbox {
    source: String,
    clock: Clock,
    entropy: Entropy,
    woken: Arc<Notify>,
}

impl Outbox {
    /// The outbox of `program`.
    pub fn new(program: &str, clock: Clock, entropy: Entropy) -> Self {
        Self { source: format!("/warren/{program}"), clock, entropy, woken: Arc::default() }
    }

    /// Writes `data` in the caller's transaction, which must already hold the lock of the row that changed: the
    /// sequence is drawn here. Call [`Outbox::wake`] after the commit.
    pub async fn append<E: Event>(
        &self,
        connection: &mut PgConnection,
        trace: &TraceContext,
        data: E,
    ) -> Result<EventId, AppendError> {
        let row = self.row(trace, data)?;
        let id = row.id;
        write::<E>(connection, trace, vec![row]).await?;
        Ok(id)
    }

    /// Writes several events of one type in one statement; their sequences are in the order in which they are given.
    /// Otherwise as [`Outbox::append`], which see. Thousands are better given in parts.
    pub async fn append_all<E: Event>(
        &self,
        connection: &mut PgConnection,
        trace: &TraceContext,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Vec<EventId>, AppendError> {
        let rows = events.into_iter().map(|data| self.row(trace, data)).collect::<Result<Vec<_>, _>>()?;
        let ids = rows.iter().map(|row| row.id).collect();
        if !rows.is_empty() {
            write::<E>(connection, trace, rows).await?;
        }
        Ok(ids)
    }

    /// An event for a statement that writes it together with its fact; see [`EventDraft`]. Call [`Outbox::wake`] after
    /// the commit.
    pub fn draft<E: RowEvent>(
        &self,
        trace: &TraceContext,
        known: E::Known,
    ) -> Result<EventDraft, AppendError> {
        let envelope = self.envelope(trace, known);
        let pieces = envelope.around_row::<E>().map_err(|error| AppendError::Encode(E::TYPE.name, error))?;
        Ok(EventDraft::new(envelope.id, E::TYPE, trace, pieces))
    }

    fn row<E: Event>(&self, trace: &TraceContext, data: E) -> Result<Row, AppendError> {
        let routing_key = data.routing_key();
        let envelope = self.envelope(trace, data);
        let (head, tail) =
            envelope.around_sequence().map_err(|error| AppendError::Encode(E::TYPE.name, error))?;
        Ok(Row { id: envelope.id, routing_key, head, tail })
    }

    fn envelope<D>(&self, trace: &TraceContext, data: D) -> Envelope<D> {
        let time = self.clock.now();
        let id = EventId(self.entropy.uuid_v7(time));
        Envelope { id, source: self.source.clone(), time, traceparent: trace.to_string(), data }
    }

    /// Tells this program's relay that something was committed. Without it the relay finds the row at its next look.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until something was committed since the last look.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }
}

/// An event that waits for its sequence.
struct Row {
    id: EventId,
    routing_key: String,
    head: String,
    tail: String,
}

/// What goes into the message beside its body.
pub(super) fn headers(event: EventType, trace: &TraceContext) -> serde_json::Value {
    serde_json::json!({ "type": event.name, "traceparent": trace.to_string() })
}

async fn write<E: Event>(
    connection: &mut PgConnection,
    trace: &TraceContext,
    rows: Vec<Row>,
) -> Result<(), AppendError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.0).collect();
    let (mut routing_keys, mut heads, mut tails) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        routing_keys.push(row.routing_key);
        heads.push(row.head);
        tails.push(row.tail);
    }
    sqlx::query!(
        r#"
        INSERT INTO outbox (seq, event_id, exchange, routing_key, headers, body)
        OVERRIDING SYSTEM VALUE
        SELECT seq, event_id, $5, routing_key, $6, head || lpad(seq::text, $7, '0') || tail
        FROM (
            -- One draw for each row, in the order of the rows below: a subquery that draws is not taken apart.
            SELECT nextval(pg_get_serial_sequence('outbox', 'seq')) AS seq, event_id, routing_key, head, tail
            FROM (
                SELECT event_id, routing_key, head, tail
                FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[])
                    WITH ORDINALITY AS given (event_id, routing_key, head, tail, place)
                ORDER BY place
            ) AS ordered
        ) AS drawn
        "#,
        &ids,
        &routing_keys,
        &heads,
        &tails,
        E::TYPE.exchange.name(),
        headers(E::TYPE, trace),
        i32::try_from(SEQUENCE_DIGITS).unwrap_or(i32::MAX),
    )
    .execute(connection)
    .await
    .map_err(|error| AppendError::Write(E::TYPE.name, error))?;
    Ok(())
}
