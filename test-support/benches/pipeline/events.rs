//! The events of the throughput rounds: failed logins, of about 0.4 kB each.

use shared::broker::Message;
use shared::clock::Clock;
use shared::contracts::auth::{LoginFailed, LoginFailure};
use shared::contracts::{Envelope, Event, Origin};
use shared::entropy::Entropy;
use shared::ids::{EventId, UserId};
use shared::telemetry::TraceContext;

/// One of them.
pub(crate) fn event(number: usize) -> LoginFailed {
    LoginFailed {
        user_id: Some(UserId(i64::try_from(number % 1_000).unwrap())),
        username: format!("user {}", number % 1_000),
        reason: LoginFailure::WrongPassword,
        tally: None,
        origin: Origin::new(Some([127, 0, 0, 1].into()), None, None),
    }
}

/// As the outbox writes them and the relay reads them.
pub(crate) fn messages(count: usize) -> Vec<Message> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let trace = TraceContext::new(&entropy);
    (0..count)
        .map(|number| {
            let time = clock.now();
            let envelope = Envelope {
                id: EventId(entropy.uuid_v7(time)),
                source: "/warren/producer-api".to_owned(),
                time,
                traceparent: trace.to_string(),
                data: event(number),
            };
            let (head, tail) = envelope.around_sequence().unwrap();
            Message {
                id: envelope.id,
                exchange: LoginFailed::TYPE.exchange.name().to_owned(),
                routing_key: LoginFailed::TYPE.name.to_owned(),
                headers: vec![("traceparent".to_owned(), trace.to_string())],
                event_type: LoginFailed::TYPE.name.to_owned(),
                body: format!("{head}{number:020}{tail}"),
            }
        })
        .collect()
}
