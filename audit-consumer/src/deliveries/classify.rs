//! Decides whether a message becomes an audit row or is set aside. Pure: the same bytes at the same instant always
//! get the same answer.
//!
//! A fact should not be lost: whatever has a readable envelope with an id of our kind is recorded, even of a type that
//! nobody told this program about. Only what can't be kept as a row goes to quarantine.

use std::str;

use chrono::{DateTime, TimeDelta, Utc};
use shared::contracts::{EventType, ReceivedEnvelope};
use shared::ids::EventId;
use shared::retention::RETENTION;
use uuid::Uuid;

use super::QuarantineReason;
use crate::audit::{AuditEntry, Message, from_event};

/// The largest body that is recorded.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How far ahead of ours a sender's clock may be.
const AHEAD_MAX: TimeDelta = TimeDelta::hours(24);

/// Judges one message.
pub fn classify<'a>(message: &Message<'a>, now: DateTime<Utc>) -> Result<AuditEntry<'a>, QuarantineReason> {
    let bytes = message.body;
    if bytes.len() > BODY_BYTES_MAX {
        return Err(QuarantineReason::TooLarge { bytes: bytes.len() });
    }
    let body = str::from_utf8(bytes).map_err(|_| QuarantineReason::NotUtf8)?;
    if body.contains('\0') {
        return Err(QuarantineReason::HoldsNul);
    }
    let envelope = ReceivedEnvelope::parse(bytes)?;
    check_major(&envelope)?;
    check_message_id(message.message_id, envelope.id)?;
    let arose_at = instant_of(envelope.id).ok_or(QuarantineReason::NotVersion7(envelope.id))?;
    if arose_at > now + AHEAD_MAX {
        return Err(QuarantineReason::TooNew(envelope.id));
    }
    if arose_at < now - RETENTION {
        return Err(QuarantineReason::TooOld(envelope.id));
    }
    Ok(from_event(&envelope, arose_at, body))
}

fn check_major(envelope: &ReceivedEnvelope<'_>) -> Result<(), QuarantineReason> {
    let major = envelope.major()?;
    // A type that is new to us began at 1.
    let known = EventType::named(&envelope.r#type).map_or(1, |row| row.major);
    if (1..=known).contains(&major) {
        return Ok(());
    }
    Err(QuarantineReason::UnknownMajor { event_type: envelope.r#type.clone(), major, known })
}

/// A message without the property is judged by its envelope alone.
fn check_message_id(message_id: Option<&str>, id: EventId) -> Result<(), QuarantineReason> {
    match message_id {
        Some(message_id) if Uuid::parse_str(message_id).ok() != Some(id.0) => {
            Err(QuarantineReason::OtherMessageId { message_id: message_id.to_owned(), id })
        }
        _ => Ok(()),
    }
}

/// The instant in a UUIDv7; `None` for any other kind of id.
fn instant_of(id: EventId) -> Option<DateTime<Utc>> {
    const VERSION: usize = 7;
    if id.0.get_version_num() != VERSION || id.0.get_variant() != uuid::Variant::RFC4122 {
        return None;
    }
    let millis = i64::try_from(id.0.as_u128() >> 80).ok()?;
    DateTime::from_timestamp_millis(millis)
}

#[cfg(test)]
mod tests;
