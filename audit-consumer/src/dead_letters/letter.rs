//! One dead letter: what RabbitMQ says of its death, and what of it is sent again. Pure.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, Utc};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use serde::Serialize;
use shared::broker::Delivery;
use shared::contracts::operators::{BodyDigest, DeadLetter};
use shared::operator::{Filter, Operation, Selection};

/// Headers that RabbitMQ adds to what dies or comes again.
const OF_THE_BROKER: [&str; 4] = ["x-death", "x-delivery-count", "x-acquired-count", "x-opt-delivery-count"];
/// What all headers of one kind begin with: `x-first-death-queue` and its likes.
const OF_A_DEATH: [&str; 2] = ["x-first-death-", "x-last-death-"];
/// Headers by which a publisher has a message routed to further queues.
const FURTHER_QUEUES: [&str; 2] = ["CC", "BCC"];

/// A dead letter, without its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// Its message id; of one without, the digest of its body. Several letters may have the same.
    pub id: String,
    /// The AMQP `message_id`.
    pub message_id: Option<String>,
    /// The AMQP `type`.
    pub event_type: Option<String>,
    /// The queue it died in first.
    pub queue: Option<String>,
    /// The key it was published under.
    pub routing_key: String,
    /// Of what it died first, and where.
    pub reason: String,
    /// When.
    pub died_at: Option<DateTime<Utc>>,
    /// How many bytes its body has.
    pub body_bytes: u64,
    /// The SHA-256 of its body, in hex.
    pub body_sha256: String,
    #[serde(skip)]
    died_of: Option<String>,
}

impl Letter {
    /// The letter in a delivery.
    pub fn of(delivery: &Delivery) -> Self {
        let properties = &delivery.properties;
        let text = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
        let message_id = text(properties.message_id()).filter(|id| !id.is_empty());
        let body_sha256 = sha256(&delivery.data);
        let empty = FieldTable::default();
        let headers = properties.headers().as_ref().unwrap_or(&empty);
        let (queue, died_of) =
            (header_text(headers, "x-first-death-queue"), header_text(headers, "x-first-death-reason"));
        Self {
            id: message_id.clone().unwrap_or_else(|| format!("sha256:{body_sha256}")),
            message_id,
            event_type: text(properties.kind()),
            routing_key: delivery.routing_key.as_str().to_owned(),
            reason: reason(died_of.as_deref(), queue.as_deref()),
            died_at: queue.as_deref().and_then(|queue| died_at(headers, queue)),
            body_bytes: u64::try_from(delivery.data.len()).unwrap_or(u64::MAX),
            body_sha256,
            queue,
            died_of,
        }
    }

    /// Whether it meets every condition; its reason holds the queue's name, too.
    pub fn meets(&self, filter: &Filter) -> bool {
        filter.takes(self.event_type.as_deref(), &self.reason, self.died_at)
    }

    /// Whether it is to be acted upon.
    pub fn is_in(&self, selection: &Selection<String>) -> bool {
        match selection {
            Selection::Named(ids) => ids.contains(&self.id),
            Selection::Matching(filter) => self.meets(filter),
        }
    }

    /// As the trail is told of it.
    pub(super) fn told(&self, operation: &Operation) -> DeadLetter {
        DeadLetter {
            message_id: self.message_id.clone(),
            event_type: self.event_type.clone(),
            queue: self.queue.clone(),
            routing_key: self.routing_key.clone(),
            died_of: self.died_of.clone(),
            died_at: self.died_at,
            body: BodyDigest { body_bytes: self.body_bytes, body_sha256: self.body_sha256.clone() },
            act: operation.act.clone(),
        }
    }
}

/// The properties a letter had when it was alive: without the story of its death; without the further queues it was sent
/// to, which have had it; and without `user_id`, which only its first publisher may claim.
pub(super) fn properties_of_the_living(dead: &BasicProperties) -> BasicProperties {
    macro_rules! keep {
        ($($get:ident $with:ident),+) => {{
            let mut kept = BasicProperties::default();
            $(if let Some(value) = dead.$get() {
                kept = kept.$with(value.clone());
            })+
            kept
        }};
    }
    let mut kept = keep!(
        content_type with_content_type, content_encoding with_content_encoding,
        delivery_mode with_delivery_mode, priority with_priority, correlation_id with_correlation_id,
        reply_to with_reply_to, expiration with_expiration, message_id with_message_id,
        timestamp with_timestamp, kind with_type, app_id with_app_id
    );
    if let Some(headers) = dead.headers() {
        let mut living = FieldTable::default();
        for (name, value) in headers.inner().iter().filter(|(name, _)| is_of_the_living(name.as_str())) {
            living.insert(name.clone(), value.clone());
        }
        kept = kept.with_headers(living);
    }
    kept
}

fn is_of_the_living(header: &str) -> bool {
    let is_named = |names: &[&str]| names.contains(&header);
    let is_of_a_death = OF_A_DEATH.iter().any(|beginning| header.starts_with(beginning));
    !is_named(&OF_THE_BROKER) && !is_named(&FURTHER_QUEUES) && !is_of_a_death
}

fn reason(died_of: Option<&str>, queue: Option<&str>) -> String {
    match (died_of, queue) {
        (Some(died_of), Some(queue)) => format!("{died_of} in {queue}"),
        _ => "unknown: it has no story of its death".to_owned(),
    }
}

fn header_text(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

/// When it died in `queue`, as its `x-death` says.
fn died_at(headers: &FieldTable, queue: &str) -> Option<DateTime<Utc>> {
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else { return None };
    deaths.as_slice().iter().find_map(|death| match death {
        AMQPValue::FieldTable(death) if header_text(death, "queue").as_deref() == Some(queue) => {
            let Some(AMQPValue::Timestamp(seconds)) = death.inner().get("time") else { return None };
            DateTime::from_timestamp(i64::try_from(*seconds).ok()?, 0)
        }
        _ => None,
    })
}

fn sha256(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;
    use shared::operator::TypePattern;

    use super::*;

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn dead() -> Delivery {
        let mut death = FieldTable::default();
        death.insert("queue".into(), text("audit.events"));
        death.insert("time".into(), AMQPValue::Timestamp(1_763_700_000));
        let mut deaths = FieldArray::default();
        deaths.push(AMQPValue::FieldTable(death));
        let mut headers = FieldTable::default();
        for (name, value) in [
            ("x-first-death-queue", "audit.events"),
            ("x-first-death-reason", "delivery_limit"),
            ("x-last-death-queue", "audit.events"),
            ("traceparent", "00-1-2-01"),
            ("CC", "elsewhere"),
        ] {
            headers.insert(name.into(), text(value));
        }
        headers.insert("x-delivery-count".into(), AMQPValue::LongInt(3));
        headers.insert("x-death".into(), AMQPValue::FieldArray(deaths));
        let properties = BasicProperties::default()
            .with_message_id("m-1".into())
            .with_type("task.created".into())
            .with_user_id("somebody".into())
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(2)
            .with_headers(headers);
        let mut delivery =
            Delivery::mock(1, "dead.letters".into(), "task.created".into(), false, b"abc".to_vec());
        delivery.properties = properties;
        delivery
    }

    #[test]
    fn a_letter_says_where_when_and_of_what_it_died() {
        let letter = Letter::of(&dead());
        assert_eq!((letter.id.as_str(), letter.queue.as_deref()), ("m-1", Some("audit.events")));
        assert_eq!(letter.reason, "delivery_limit in audit.events");
        assert_eq!(letter.died_at, DateTime::from_timestamp(1_763_700_000, 0));
        assert_eq!(letter.body_sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(letter.meets(&Filter {
            event_type: Some(TypePattern::parse("task.*")),
            reason_contains: Some("AUDIT.EVENTS".to_owned()),
            until: letter.died_at,
            since: letter.died_at,
        }));
        assert!(letter.is_in(&Selection::Named(vec!["m-1".to_owned()])));
        assert!(!letter.is_in(&Selection::Named(vec!["m-2".to_owned()])));
    }

    #[test]
    fn a_letter_without_id_or_story_is_known_by_its_bytes() {
        let mut delivery = dead();
        delivery.properties = BasicProperties::default();
        let letter = Letter::of(&delivery);
        assert_eq!(letter.id, format!("sha256:{}", letter.body_sha256));
        assert_eq!((letter.queue, letter.message_id, letter.died_at), (None, None, None));
    }

    #[test]
    fn what_is_sent_again_is_what_was_sent_first() {
        let kept = properties_of_the_living(&dead().properties);
        let mut headers = FieldTable::default();
        headers.insert("traceparent".into(), text("00-1-2-01"));
        let expected = BasicProperties::default()
            .with_message_id("m-1".into())
            .with_type("task.created".into())
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(2)
            .with_headers(headers);
        assert_eq!(kept, expected);
    }
}
