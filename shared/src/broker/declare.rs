//! Declares the topology, or looks whether it is there. What exists with other arguments is an operator's business: a program
//! that starts stops with the broker's own words.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use super::topology::{Argument, BINDINGS, EXCHANGES, QUEUES, Routing};
use crate::config::TopologyAtStart;
use crate::contracts::Exchange;
use crate::lifecycle::Interruption;

/// Why the topology is not as declared.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// The broker has it otherwise.
    #[error(
        "the broker refuses the declaration of {what}: {words}; `producer-api topology check` lists all that differs"
    )]
    Refused {
        /// Which part.
        what: String,
        /// What the broker says.
        words: String,
    },
    /// The broker doesn't let this user declare it.
    #[error(
        "the broker refuses the declaration of {what}: {words}; where `producer-api topology apply` declares the topology, set \
         RABBITMQ_TOPOLOGY=expect"
    )]
    NotAllowed {
        /// Which part.
        what: String,
        /// What the broker says.
        words: String,
    },
    /// It should be there and isn't.
    #[error("{what} is not there: {words}; run `producer-api topology apply`")]
    Missing {
        /// Which part.
        what: String,
        /// What the broker says.
        words: String,
    },
    /// The connection broke.
    #[error("the topology can't be declared")]
    Interrupted(#[source] lapin::Error),
}

impl DeclareError {
    /// What it means for a supervised role: a refusal stops a program that starts. A broken connection passes, and so does what is missing
    /// once an operator has seen to it.
    pub fn interruption(self) -> Interruption {
        match self {
            Self::Refused { .. } | Self::NotAllowed { .. } => Interruption::Fatal(self.into()),
            Self::Missing { .. } | Self::Interrupted(_) => Interruption::Passing(self.into()),
        }
    }
}

/// What a role works with, and so can't do without.
#[derive(Debug, Clone, Copy)]
pub enum Needs<'a> {
    /// An exchange to which it publishes, or binds a queue of its own.
    Exchange(Exchange),
    /// A queue that it reads.
    Queue(&'a str),
}

/// Does about the topology what the settings say: declares all of it, or looks whether what the role needs is there.
pub async fn establish(
    connection: &Connection,
    at_start: TopologyAtStart,
    needs: Needs<'_>,
) -> Result<(), DeclareError> {
    match at_start {
        TopologyAtStart::Declare => declare(connection).await,
        TopologyAtStart::Expect => expect(connection, needs).await,
    }
}

/// Looks whether it is there, for which no right is needed. What it is like and how it is bound only an administrator can see.
/// What others need is not looked at: a missing queue stops only who reads it.
async fn expect(connection: &Connection, needs: Needs<'_>) -> Result<(), DeclareError> {
    let channel = connection.create_channel().await.map_err(DeclareError::Interrupted)?;
    match needs {
        Needs::Exchange(exchange) => {
            let (name, options) = (
                exchange.name(),
                ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() },
            );
            // The broker doesn't look at the type of one that is only asked for.
            channel
                .exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default())
                .await
                .map_err(|error| judge(error, || format!("exchange {name}")))?;
        }
        Needs::Queue(queue) => {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            channel
                .queue_declare(queue.into(), options, FieldTable::default())
                .await
                .map_err(|error| judge(error, || format!("queue {queue}")))?;
        }
    }
    channel.close(200, "seen".into()).await.map_err(DeclareError::Interrupted)
}

fn kind(routing: Routing) -> ExchangeKind {
    match routing {
        Routing::Topic => ExchangeKind::Topic,
        Routing::Fanout => ExchangeKind::Fanout,
    }
}

/// Declares everything in [`super::topology`], on a channel that is thrown away.
pub async fn declare(connection: &Connection) -> Result<(), DeclareError> {
    let channel = connection.create_channel().await.map_err(DeclareError::Interrupted)?;
    for exchange in EXCHANGES {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(exchange.name.into(), kind(exchange.routing), options, FieldTable::default())
            .await
            .map_err(|error| judge(error, || format!("exchange {}", exchange.name)))?;
    }
    for queue in QUEUES {
        channel
            .queue_declare(queue.name.into(), QueueDeclareOptions::durable(), table(queue.arguments))
            .await
            .map_err(|error| judge(error, || format!("queue {}", queue.name)))?;
    }
    bind(&channel).await?;
    channel.close(200, "declared".into()).await.map_err(DeclareError::Interrupted)
}

async fn bind(channel: &Channel) -> Result<(), DeclareError> {
    for binding in BINDINGS {
        let (queue, exchange, pattern) =
            (binding.queue.into(), binding.exchange.into(), binding.pattern.into());
        channel
            .queue_bind(queue, exchange, pattern, QueueBindOptions::default(), FieldTable::default())
            .await
            .map_err(|error| judge(error, || format!("binding {} -> {}", binding.exchange, binding.queue)))?;
    }
    Ok(())
}

fn table(arguments: &[(&str, Argument)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString((*text).into()),
            Argument::Number(number) => AMQPValue::LongInt(*number),
        };
        table.insert((*name).into(), value);
    }
    table
}

fn judge(error: lapin::Error, what: impl FnOnce() -> String) -> DeclareError {
    let ErrorKind::ProtocolError(protocol) = error.kind() else { return DeclareError::Interrupted(error) };
    let words = || protocol.get_message().to_string();
    match protocol.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
            DeclareError::Refused { what: what(), words: words() }
        }
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
            DeclareError::NotAllowed { what: what(), words: words() }
        }
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
            DeclareError::Missing { what: what(), words: words() }
        }
        // Passes, RESOURCE_LOCKED too: a queue that somebody's connection has for itself goes with it, and can then be declared.
        _ => DeclareError::Interrupted(error),
    }
}
