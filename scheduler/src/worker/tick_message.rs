//! Reads a tick from the bytes of a message. Pure.

use shared::contracts::jobs::TickDue;
use shared::contracts::{EventType, MalformedEnvelope, ReceivedEnvelope};

/// A tick as it came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TickMessage {
    /// The run to claim, and what the sender says of it.
    pub(super) tick: TickDue,
    /// The trace it came in.
    pub(super) traceparent: Option<String>,
}

/// Why a message is not a tick of ours. An operator may look at it among the dead letters.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotATick {
    #[error("unreadable")]
    Malformed(#[source] MalformedEnvelope),
    #[error("a message of type {0:?} is no tick")]
    Type(String),
    #[error("version {0} of a tick is newer than this program")]
    Major(u16),
}

impl TickMessage {
    pub(super) fn parse(body: &[u8]) -> Result<Self, NotATick> {
        let envelope = ReceivedEnvelope::parse(body).map_err(NotATick::Malformed)?;
        if envelope.r#type != EventType::TICK_DUE.name {
            return Err(NotATick::Type(envelope.r#type));
        }
        let major = envelope.major().map_err(NotATick::Malformed)?;
        if major != EventType::TICK_DUE.major {
            return Err(NotATick::Major(major));
        }
        let tick = envelope.data().map_err(NotATick::Malformed)?;
        Ok(Self { tick, traceparent: envelope.traceparent })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use shared::contracts::Envelope;
    use shared::ids::{EventId, RunId};
    use uuid::Uuid;

    use super::*;

    fn body() -> String {
        let tick = TickDue {
            run_id: RunId(Uuid::from_u128(9)),
            job_key: "print-user-tasks".to_owned(),
            queue: "default".to_owned(),
            scheduled_at: DateTime::from_timestamp(1_763_700_000, 0).unwrap(),
            args: serde_json::json!({ "user_id": 1 }),
        };
        let envelope = Envelope {
            id: EventId(Uuid::from_u128(7)),
            source: "/warren/scheduler".to_owned(),
            time: tick.scheduled_at,
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            data: tick,
        };
        let (head, tail) = envelope.around_sequence().unwrap();
        format!("{head}{:020}{tail}", 1)
    }

    #[test]
    fn a_tick_reads_back_as_it_was_sent() {
        let message = TickMessage::parse(body().as_bytes()).unwrap();
        assert_eq!(message.tick.run_id, RunId(Uuid::from_u128(9)));
        assert!(message.traceparent.is_some());
    }

    #[test]
    fn garbage_another_type_and_a_newer_version_are_no_ticks() {
        for (broken, expected) in [
            ("{".to_owned(), "unreadable"),
            (body().replace("job.tick.due\"", "job.run.failed\""), "is no tick"),
            (body().replace("/v1\"", "/v2\""), "newer"),
            (body().replace("\"run_id\"", "\"run\""), "unreadable"),
        ] {
            let error = TickMessage::parse(broken.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
