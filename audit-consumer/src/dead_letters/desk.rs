//! Where dead letters are taken in hand, one after the other.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ErrorKind, Event};
use shared::broker::topology::DEAD_LETTERS;
use shared::broker::{Delivery, connect, within};
use shared::config::BrokerConfig;

use crate::config::PROGRAM;

/// Why letters can't be taken or done with.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The broker can't be reached, or the queue is not there, or not for this user.
    #[error("the queue {DEAD_LETTERS} can't be read; check AMQP_URL and whether RabbitMQ runs")]
    Unreadable(#[source] lapin::Error),
    /// A letter breaks our client's connection, and so does any that comes as it is.
    #[error(
        "a letter in {DEAD_LETTERS} can't be decoded by this program's AMQP client, which keeps it from the others; \
         docs/OPERATIONS.md, \"The ends of the road\", says how to take it off"
    )]
    Undecodable(#[source] lapin::Error),
    /// The connection broke before the broker had heard that a letter is done with.
    #[error("letters that are done with could not be acknowledged; they may be among the dead letters still")]
    NotAcknowledged(#[source] lapin::Error),
    /// The same, without words.
    #[error("the channel is gone; what was not acknowledged is among the dead letters still")]
    Gone,
}

/// A connection that takes letters. Whatever is not acknowledged goes back when it ends.
#[derive(Debug)]
pub struct Desk {
    connection: Connection,
    channel: Channel,
    deadline: Duration,
    /// How many letters may still be taken: as many as lay there at first. One that dies again meanwhile is for the next
    /// time, or a command might never end.
    left: Option<u32>,
}

impl Desk {
    /// Connects.
    pub async fn open(config: &BrokerConfig) -> Result<Self, DeskError> {
        let deadline = config.connection_timeout;
        let opened = within(deadline, async {
            let connection = connect(config, PROGRAM, "reads dead letters").await?;
            let channel = connection.create_channel().await?;
            Ok((connection, channel))
        });
        let (connection, channel) = opened.await.map_err(DeskError::Unreadable)?;
        Ok(Self { connection, channel, deadline, left: None })
    }

    /// Takes the next letter in hand, and says how many lie behind it.
    pub async fn take(&mut self) -> Result<Option<(Delivery, u32)>, DeskError> {
        if self.left == Some(0) {
            return Ok(None);
        }
        // lapin tells nobody who waits for an answer that it could not decode it.
        let mut events = pin!(self.connection.events_listener());
        let undecodable = async {
            loop {
                match events.next().await {
                    Some(Event::Error(error)) if matches!(error.kind(), ErrorKind::ParsingError(_)) => {
                        break error;
                    }
                    Some(_) => {}
                    None => std::future::pending().await,
                }
            }
        };
        let get = self.channel.basic_get(DEAD_LETTERS.into(), BasicGetOptions::default());
        let got = tokio::select! {
            got = within(self.deadline, get) => got.map_err(|error| match error.kind() {
                ErrorKind::ParsingError(_) => DeskError::Undecodable(error),
                _ => DeskError::Unreadable(error),
            })?,
            error = undecodable => return Err(DeskError::Undecodable(error)),
        };
        let Some(got) = got else { return Ok(None) };
        self.left = Some(self.left.map_or(got.message_count, |left| left - 1));
        Ok(Some((got.delivery, got.message_count)))
    }

    /// Is done with a letter: it is gone once the broker has [heard](Desk::heard) it.
    pub async fn done_with(&self, delivery: &Delivery) -> Result<(), DeskError> {
        let acknowledged = within(self.deadline, delivery.acker.ack(BasicAckOptions::default()));
        match acknowledged.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(DeskError::Gone),
            Err(error) => Err(DeskError::NotAcknowledged(error)),
        }
    }

    /// Waits until the broker has heard what is done with. It answers no acknowledgement, but it answers what is asked behind
    /// it on the same channel; to look whether a queue is there needs no right.
    pub async fn heard(&self) -> Result<(), DeskError> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let looked = self.channel.queue_declare(DEAD_LETTERS.into(), options, FieldTable::default());
        within(self.deadline, looked).await.map(|_| ()).map_err(DeskError::NotAcknowledged)
    }

    /// Gives back whatever is in hand.
    pub async fn close(self) {
        // Whether the broker hears the farewell or not, it takes the letters back.
        let _ = within(self.deadline, self.connection.close(200, "done".into())).await;
    }
}
