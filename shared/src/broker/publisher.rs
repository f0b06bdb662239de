//! Confirmed, mandatory publishing of a window of messages, accounted by message id.
//!
//! lapin hands a returned message to whichever confirm completes next, so a confirm's own `returned message` says
//! nothing about its own message. This room therefore waits for *every* confirm of a window, gathers *all* returned
//! messages, and only then judges each id: returned, nacked, acked, or unknown.

mod to_queue;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};
use uuid::Uuid;

use crate::contracts::envelope::CONTENT_TYPE;
use crate::ids::EventId;

const PERSISTENT: u8 = 2;

/// A message ready to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// The event's id: the AMQP `message_id`.
    pub id: EventId,
    /// Where to.
    pub exchange: String,
    /// By which key.
    pub routing_key: String,
    /// Text headers.
    pub headers: Vec<(String, String)>,
    /// The event type's name: the AMQP `type`.
    pub event_type: String,
    /// The envelope's exact text.
    pub body: String,
}

/// What became of a published message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every queue it was routed to has it.
    Acked,
    /// No queue is bound for it; the broker's words.
    Returned(String),
    /// A queue refused it.
    Nacked,
    /// Nobody knows: it may be there or not.
    Unknown,
}

impl Verdict {
    /// A word for each kind.
    pub const WORDS: [&str; 4] = ["acked", "returned", "nacked", "unknown"];

    /// The word for its kind.
    pub fn word(&self) -> &'static str {
        let [acked, returned, nacked, unknown] = Self::WORDS;
        match self {
            Self::Acked => acked,
            Self::Returned(_) => returned,
            Self::Nacked => nacked,
            Self::Unknown => unknown,
        }
    }
}

/// The verdict on each message of a window.
pub type Verdicts = HashMap<EventId, Verdict>;

/// Why a window ended early. Its verdicts are still to be acted upon; the channel is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The connection or channel broke.
    #[error("publishing was interrupted")]
    Interrupted(#[source] lapin::Error),
    /// The broker did not confirm in time.
    #[error("the broker did not confirm within {} s", .0.as_secs_f32())]
    Deadline(Duration),
    /// The channel gives no confirms, which can only be a fault of ours.
    #[error("the channel is not in confirm mode")]
    NotConfirming,
}

/// A channel in confirm mode. It can't be cloned: one loop owns it, so delivery tags and confirms stay in step.
#[derive(Debug)]
pub struct ConfirmedChannel {
    channel: Channel,
    program: String,
}

impl ConfirmedChannel {
    /// Opens a channel in confirm mode; `program` is the AMQP `app_id` of what is sent.
    pub async fn open(connection: &Connection, program: &str) -> Result<Self, lapin::Error> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, program: program.to_owned() })
    }

    /// Publishes a window in one go, waits for all its confirms at most `deadline`, and judges every message.
    pub async fn publish_window(
        &self,
        messages: &[Message],
        deadline: Duration,
    ) -> (Verdicts, Result<(), PublishError>) {
        let mut accounts = Accounts::default();
        let result = match tokio::time::timeout(deadline, self.publish_all(messages, &mut accounts)).await {
            Ok(result) => result,
            Err(_) => Err(PublishError::Deadline(deadline)),
        };
        (judge(messages.iter().map(|message| message.id), &accounts), result)
    }

    async fn publish_all(&self, messages: &[Message], accounts: &mut Accounts) -> Result<(), PublishError> {
        // All are queued before any is awaited: lapin answers each publish only when it is written, and to wait for that one
        // by one costs two switches between threads for every message. Tags and frames stay in step: one task polls
        // these, and each draws its tag and queues its frames in its first poll.
        let confirms = try_join_all(messages.iter().map(|message| self.publish_one(message)))
            .await
            .map_err(PublishError::Interrupted)?;
        for (id, confirm) in messages.iter().map(|message| message.id).zip(confirms) {
            match confirm.await.map_err(PublishError::Interrupted)? {
                Confirmation::Ack(returned) => {
                    accounts.acked.insert(id);
                    accounts.note_returned(returned);
                }
                Confirmation::Nack(returned) => {
                    accounts.nacked.insert(id);
                    accounts.note_returned(returned);
                }
                Confirmation::NotRequested => return Err(PublishError::NotConfirming),
            }
        }
        // What was returned and not handed to any confirm.
        let rest = self.channel.wait_for_confirms().await.map_err(PublishError::Interrupted)?;
        for message in rest {
            accounts.note_returned(Some(message));
        }
        accounts.complete = true;
        Ok(())
    }

    async fn publish_one(&self, message: &Message) -> Result<PublisherConfirm, lapin::Error> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (message.exchange.as_str().into(), message.routing_key.as_str().into());
        let body = message.body.as_bytes();
        self.channel.basic_publish(exchange, key, options, body, self.properties(message)).await
    }

    fn properties(&self, message: &Message) -> BasicProperties {
        let mut headers = FieldTable::default();
        for (name, value) in &message.headers {
            headers.insert(name.as_str().into(), AMQPValue::LongString(value.as_str().into()));
        }
        BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(message.id.to_string().into())
            .with_type(message.event_type.as_str().into())
            .with_app_id(self.program.as_str().into())
            .with_headers(headers)
    }
}

/// What the broker said about a window.
#[derive(Debug, Default)]
struct Accounts {
    acked: HashSet<EventId>,
    nacked: HashSet<EventId>,
    returned: HashMap<EventId, String>,
    /// Whether all confirms, and so all returns, have come.
    complete: bool,
}

impl Accounts {
    fn note_returned(&mut self, returned: Option<BasicReturnMessage>) {
        let Some(returned) = returned else { return };
        let id = returned.delivery.properties.message_id().as_ref();
        if let Some(id) = id.and_then(|id| Uuid::parse_str(id.as_str()).ok()) {
            self.returned.insert(EventId(id), format!("{} {}", returned.reply_code, returned.reply_text));
        }
    }
}

/// The verdict on each published id. An ack counts only once every return of the window is known: until then the
/// message may be among those still to be returned.
fn judge(published: impl Iterator<Item = EventId>, accounts: &Accounts) -> Verdicts {
    published
        .map(|id| {
            let verdict = if let Some(words) = accounts.returned.get(&id) {
                Verdict::Returned(words.clone())
            } else if accounts.nacked.contains(&id) {
                Verdict::Nacked
            } else if accounts.complete && accounts.acked.contains(&id) {
                Verdict::Acked
            } else {
                Verdict::Unknown
            };
            (id, verdict)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u128) -> EventId {
        EventId(Uuid::from_u128(number))
    }

    #[test]
    fn an_ack_counts_only_when_the_window_is_complete_and_the_message_was_not_returned() {
        let mut accounts =
            Accounts { acked: [id(1), id(2)].into(), nacked: [id(3)].into(), ..Accounts::default() };
        accounts.returned.insert(id(2), "312 NO_ROUTE".to_owned());
        let published = || (1..=4).map(id);
        let early = judge(published(), &accounts);
        assert_eq!(early[&id(1)], Verdict::Unknown);
        assert_eq!(early[&id(3)], Verdict::Nacked);
        accounts.complete = true;
        let late = judge(published(), &accounts);
        assert_eq!(late[&id(1)], Verdict::Acked);
        assert_eq!(late[&id(2)], Verdict::Returned("312 NO_ROUTE".to_owned()));
        assert_eq!(late[&id(4)], Verdict::Unknown);
    }

    proptest! {
        #[test]
        fn nothing_returned_nacked_or_unheard_of_is_ever_called_acked(
            acked in proptest::collection::hash_set(0_u128..50, 0..50),
            nacked in proptest::collection::hash_set(0_u128..50, 0..50),
            returned in proptest::collection::hash_set(0_u128..50, 0..50),
            complete: bool,
        ) {
            let accounts = Accounts {
                acked: acked.iter().copied().map(id).collect(),
                nacked: nacked.iter().copied().map(id).collect(),
                returned: returned.iter().map(|number| (id(*number), String::new())).collect(),
                complete,
            };
            for (message, verdict) in judge((0..50).map(id), &accounts) {
                let number = message.0.as_u128();
                let delivered = complete && acked.contains(&number) && !nacked.contains(&number) && !returned.contains(&number);
                prop_assert_eq!(verdict == Verdict::Acked, delivered);
            }
        }
    }
}
