//! Declares the topology. What exists with other arguments is an operator's business: the program stops with the
//! broker's own words.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use super::topology::{Argument, BINDINGS, EXCHANGES, QUEUES, Routing};
use crate::lifecycle::Interruption;

/// Why the topology is not as declared.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// The broker has it otherwise, or doesn't let this user declare it.
    #[error("the broker refuses the declaration of {what}: {words}")]
    Refused {
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
    /// What it means for a supervised role: a refusal stops the program, a broken connection passes.
    pub fn interruption(self) -> Interruption {
        match self {
            Self::Refused { .. } => Interruption::Fatal(self.into()),
            Self::Interrupted(_) => Interruption::Passing(self.into()),
        }
    }
}

/// Declares everything in [`super::topology`], on a channel that is thrown away.
pub async fn declare(connection: &Connection) -> Result<(), DeclareError> {
    let channel = connection.create_channel().await.map_err(DeclareError::Interrupted)?;
    for exchange in EXCHANGES {
        let kind = match exchange.routing {
            Routing::Topic => ExchangeKind::Topic,
            Routing::Fanout => ExchangeKind::Fanout,
        };
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(exchange.name.into(), kind, options, FieldTable::default())
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
    if let ErrorKind::ProtocolError(protocol) = error.kind() {
        let refused =
            [AMQPSoftError::PRECONDITIONFAILED, AMQPSoftError::ACCESSREFUSED].map(AMQPErrorKind::Soft);
        if refused.contains(protocol.kind()) {
            return DeclareError::Refused { what: what(), words: protocol.get_message().to_string() };
        }
    }
    DeclareError::Interrupted(error)
}
