//! Copies what SQL should find from an envelope into columns. Pure.
//!
//! The body is kept as it came, so nothing is lost when a value doesn't fit its column: the column stays empty.

use std::net::IpAddr;

use chrono::{DateTime, Datelike, Utc};
use ipnetwork::IpNetwork;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use shared::contracts::{EventType, Outcome, ReceivedEnvelope};
use shared::telemetry::TraceContext;
use uuid::Uuid;

use super::AuditEntry;

/// Makes the row of an event. `id_instant` is the instant in its id, which stands in for a time that no column holds.
pub fn from_event<'a>(
    envelope: &ReceivedEnvelope<'_>,
    id_instant: DateTime<Utc>,
    body: &'a str,
) -> AuditEntry<'a> {
    let facts: Facts<'_> = serde_json::from_str(envelope.data.get()).unwrap_or_default();
    let trace = envelope.traceparent.as_deref().and_then(TraceContext::parse);
    AuditEntry {
        event_id: envelope.id,
        event_type: storable(envelope.r#type.clone()),
        occurred_at: storable_time(envelope.time).unwrap_or(id_instant),
        sequence: envelope.sequence_number(),
        user_id: value(facts.user_id),
        username: text(facts.username),
        session_id: value::<Uuid>(facts.session_id),
        jti: text(facts.jti),
        ip: value::<IpAddr>(facts.ip).map(IpNetwork::from),
        user_agent: text(facts.user_agent),
        outcome: EventType::named(&envelope.r#type).map_or(Outcome::Success, |row| row.outcome),
        reason: text(facts.reason),
        request_id: value::<Uuid>(facts.request_id),
        trace_id: trace.map(|trace| trace.trace_id()),
        body,
    }
}

/// The members of a payload that have columns, each unread: one that doesn't fit leaves the others as they are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Facts<'a> {
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow)]
    jti: Option<&'a RawValue>,
    #[serde(borrow)]
    ip: Option<&'a RawValue>,
    #[serde(borrow)]
    user_agent: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
}

fn value<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    value(raw).map(storable)
}

/// PostgreSQL's text has no NUL. A name that holds one should still be found, so the character is replaced.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// PostgreSQL's timestamps reach from 4713 BC to 294276; nobody writes events outside of four digits.
fn storable_time(time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (1..=9999).contains(&time.year()).then_some(time)
}
