//! Writing an event.

use std::sync::Arc;

use sqlx::PgConnection;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::contracts::envelope::SEQUENCE_DIGITS;
use crate::contracts::{Envelope, Event};
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
        let time = self.clock.now();
        let id = EventId(self.entropy.uuid_v7(time));
        let traceparent = trace.to_string();
        let routing_key = data.routing_key();
        let headers = serde_json::json!({ "type": E::TYPE.name, "traceparent": traceparent });
        let envelope = Envelope { id, source: self.source.clone(), time, traceparent, data };
        let (head, tail) =
            envelope.around_sequence().map_err(|error| AppendError::Encode(E::TYPE.name, error))?;
        sqlx::query!(
            r#"
            INSERT INTO outbox (seq, event_id, exchange, routing_key, headers, body)
            OVERRIDING SYSTEM VALUE
            SELECT seq, $1, $2, $3, $4, $5 || lpad(seq::text, $6, '0') || $7
            FROM nextval(pg_get_serial_sequence('outbox', 'seq')) AS seq
            "#,
            id.0,
            E::TYPE.exchange.name(),
            routing_key,
            headers,
            head,
            i32::try_from(SEQUENCE_DIGITS).unwrap_or(i32::MAX),
            tail,
        )
        .execute(connection)
        .await
        .map_err(|error| AppendError::Write(E::TYPE.name, error))?;
        Ok(id)
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
