//! An event that is written by the statement that makes its fact.

use serde_json::Value;
use uuid::Uuid;

use super::append::headers;
use crate::contracts::EventType;
use crate::contracts::envelope::SEQUENCE_DIGITS;
use crate::ids::EventId;
use crate::telemetry::TraceContext;

/// All of an event but what the statement alone knows. The statement changes its row first and inserts this *from* the
/// changed row, so that the sequence is drawn behind the row's lock, and both are committed or neither:
///
/// ```sql
/// WITH changed AS (UPDATE … RETURNING …), told AS (
///     INSERT INTO outbox (seq, event_id, exchange, routing_key, headers, body) OVERRIDING SYSTEM VALUE
///     SELECT seq, event_id, exchange, routing_key, headers,
///         pieces[1] || row_to_json(row)::text || pieces[2] || id || pieces[3] || lpad(seq::text, digits, '0') || pieces[4]
///     FROM (SELECT nextval(pg_get_serial_sequence('outbox', 'seq')) AS seq, changed.* FROM changed) AS drawn
/// ) …
/// ```
///
/// Nothing of the row passes through here: PostgreSQL writes it as JSON, so no text in it can end a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDraft {
    /// The event's id.
    pub event_id: Uuid,
    /// Where it is published.
    pub exchange: &'static str,
    /// Under which key.
    pub routing_key: &'static str,
    /// What goes into the message beside the body.
    pub headers: Value,
    /// The four pieces of the body.
    pub pieces: Vec<String>,
    /// How many digits the sequence has.
    pub sequence_digits: i32,
}

impl EventDraft {
    pub(super) fn new(id: EventId, event: EventType, trace: &TraceContext, pieces: [String; 4]) -> Self {
        Self {
            event_id: id.0,
            exchange: event.exchange.name(),
            routing_key: event.name,
            headers: headers(event, trace),
            pieces: pieces.into(),
            sequence_digits: i32::try_from(SEQUENCE_DIGITS).unwrap_or(i32::MAX),
        }
    }
}
