//! CloudEvents 1.0 in structured JSON mode: what every message body is.
//!
//! Extensions used: `traceparent` (distributed tracing: the trace in which the fact arose) and `sequence` (twenty
//! digits, so that text order is number order). The outbox knows the sequence only when it writes the row, so
//! an envelope is written *around* it: see [`Envelope::around_sequence`]; and around a row that the same statement
//! writes, see [`Envelope::around_row`].

use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::catalogue::{Event, EventType};
use super::row_event::RowEvent;
use crate::ids::EventId;

/// The AMQP `content_type` of every message.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// How many digits a sequence is written with.
pub const SEQUENCE_DIGITS: usize = 20;

/// An event in its envelope, before it has a place in the outbox.
#[derive(Debug, Clone)]
pub struct Envelope<E> {
    /// The message's id, wherever it goes.
    pub id: EventId,
    /// The program that tells it, such as `/warren/producer-api`.
    pub source: String,
    /// When the fact arose.
    pub time: DateTime<Utc>,
    /// The W3C trace context in which it arose.
    pub traceparent: String,
    /// What happened.
    pub data: E,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
struct Wire<'a, E> {
    specversion: &'static str,
    id: EventId,
    source: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: String,
    datacontenttype: &'static str,
    dataschema: String,
    traceparent: &'a str,
    data: &'a E,
}

impl<E: Event> Envelope<E> {
    /// The JSON text before and after the digits of `sequence`.
    ///
    /// # Errors
    /// When the payload can't be written as JSON, which is a fault of the payload's type.
    pub fn around_sequence(&self) -> Result<(String, String), serde_json::Error> {
        let mut head = self.text(E::TYPE, self.data.subject())?;
        head.pop();
        head.push_str(r#","sequence":""#);
        Ok((head, r#""}"#.to_owned()))
    }
}

impl<K: Serialize> Envelope<K> {
    /// The JSON text of the event `E` around three things that only the database knows: before the row, between the row
    /// and its id, between the id and the digits of `sequence`, and after these.
    ///
    /// # Errors
    /// When the payload can't be written as JSON, which is a fault of the payload's type.
    pub fn around_row<E: RowEvent<Known = K>>(&self) -> Result<[String; 4], serde_json::Error> {
        let mut before = self.text(E::TYPE, None)?;
        // The payload comes last: these are its brace and the envelope's.
        before.truncate(before.len() - 2);
        before.extend([r#",""#, E::ROW_MEMBER, r#"":"#]);
        let to_id = format!(r#"}},"subject":"{}"#, E::SUBJECT_PREFIX);
        Ok([before, to_id, r#"","sequence":""#.to_owned(), r#""}"#.to_owned()])
    }
}

impl<D: Serialize> Envelope<D> {
    fn text(&self, event: EventType, subject: Option<String>) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Wire {
            specversion: "1.0",
            id: self.id,
            source: &self.source,
            r#type: event.name,
            subject,
            time: self.time.to_rfc3339_opts(SecondsFormat::Micros, true),
            datacontenttype: "application/json",
            dataschema: event.data_schema(),
            traceparent: &self.traceparent,
            data: &self.data,
        })
    }
}

/// An envelope as it came from the broker, its payload still unread.
#[derive(Debug, Clone, Deserialize)]
pub struct ReceivedEnvelope<'a> {
    /// Always `1.0`.
    pub specversion: &'a str,
    /// The message's id.
    pub id: EventId,
    /// The program that told it.
    pub source: String,
    /// The event type's name.
    pub r#type: String,
    /// When the fact arose.
    pub time: DateTime<Utc>,
    /// Which schema the payload follows.
    pub dataschema: Option<String>,
    /// The trace in which the fact arose.
    pub traceparent: Option<String>,
    /// Its place in the outbox, as digits.
    pub sequence: Option<String>,
    /// The payload's JSON text.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// Why bytes are not an envelope we can read.
#[derive(Debug, thiserror::Error)]
pub enum MalformedEnvelope {
    /// Not JSON, or not with the members CloudEvents requires.
    #[error("not a CloudEvents envelope: {0}")]
    NotAnEnvelope(#[source] serde_json::Error),
    /// Another version of CloudEvents.
    #[error("CloudEvents version {0:?} is not 1.0")]
    SpecVersion(String),
    /// A schema without a version at its end.
    #[error("dataschema {0:?} does not end in a version such as /v1")]
    Unversioned(String),
}

impl<'a> ReceivedEnvelope<'a> {
    /// Reads an envelope.
    pub fn parse(body: &'a [u8]) -> Result<Self, MalformedEnvelope> {
        // Borrowed members can't hold escapes; a first look tells a foreign spelling from broken JSON.
        let envelope: Self = serde_json::from_slice(body).map_err(|error| {
            match serde_json::from_slice::<IgnoredAny>(body) {
                Err(broken) => MalformedEnvelope::NotAnEnvelope(broken),
                Ok(_) => MalformedEnvelope::NotAnEnvelope(error),
            }
        })?;
        if envelope.specversion != "1.0" {
            return Err(MalformedEnvelope::SpecVersion(envelope.specversion.to_owned()));
        }
        Ok(envelope)
    }

    /// The major version that `dataschema` ends in; 1 when there is no `dataschema`.
    pub fn major(&self) -> Result<u16, MalformedEnvelope> {
        let Some(schema) = &self.dataschema else { return Ok(1) };
        schema
            .rsplit_once("/v")
            .and_then(|(_, version)| version.parse().ok())
            .ok_or_else(|| MalformedEnvelope::Unversioned(schema.clone()))
    }

    /// The sequence as a number, if it is one.
    pub fn sequence_number(&self) -> Option<i64> {
        self.sequence.as_deref()?.parse().ok()
    }

    /// Reads the payload.
    pub fn data<T: Deserialize<'a>>(&self) -> Result<T, MalformedEnvelope> {
        serde_json::from_str(self.data.get()).map_err(MalformedEnvelope::NotAnEnvelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::jobs::TickDue;
    use crate::ids::RunId;
    use uuid::Uuid;

    fn envelope() -> Envelope<TickDue> {
        Envelope {
            id: EventId(Uuid::from_u128(7)),
            source: "/warren/test".to_owned(),
            time: DateTime::from_timestamp_micros(1_763_700_000_123_456).unwrap(),
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            data: TickDue {
                run_id: RunId(Uuid::from_u128(9)),
                job_key: "print-user-tasks".to_owned(),
                queue: "default".to_owned(),
                scheduled_at: DateTime::from_timestamp(1_763_700_000, 0).unwrap(),
                args: serde_json::json!({}),
            },
        }
    }

    #[test]
    fn what_is_written_around_the_sequence_reads_back_as_cloud_events() {
        let (head, tail) = envelope().around_sequence().unwrap();
        let body = format!("{head}{:020}{tail}", 42);
        let received = ReceivedEnvelope::parse(body.as_bytes()).unwrap();
        assert_eq!(received.id, envelope().id);
        assert_eq!(received.r#type, "job.tick.due");
        assert_eq!(received.time, envelope().time);
        assert_eq!(received.sequence_number(), Some(42));
        assert_eq!(received.major().unwrap(), 1);
        assert_eq!(received.data::<TickDue>().unwrap().job_key, "print-user-tasks");
    }

    #[test]
    fn broken_json_a_foreign_version_and_an_unversioned_schema_are_told_apart() {
        assert!(matches!(ReceivedEnvelope::parse(b"{"), Err(MalformedEnvelope::NotAnEnvelope(_))));
        assert!(matches!(ReceivedEnvelope::parse(b"\xff"), Err(MalformedEnvelope::NotAnEnvelope(_))));
        let (head, tail) = envelope().around_sequence().unwrap();
        let body = format!("{head}1{tail}");
        let foreign = body.replace(r#""specversion":"1.0""#, r#""specversion":"2.0""#);
        assert!(matches!(
            ReceivedEnvelope::parse(foreign.as_bytes()),
            Err(MalformedEnvelope::SpecVersion(version)) if version == "2.0"
        ));
        let unversioned = body.replace("/v1", "/latest");
        let received = ReceivedEnvelope::parse(unversioned.as_bytes()).unwrap();
        assert!(matches!(received.major(), Err(MalformedEnvelope::Unversioned(_))));
    }
}
