//! A queue of one connection alone, gone with it: for what every replica wants to hear, and only while it listens.
//!
//! Its name is new for each connection, so that a connection that is only half gone never stands in the way of the next.
//! It is bounded and drops the oldest: who misses something here must learn it in another way.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};

use super::connection::{connect, within};
use super::declare::{DeclareError, Needs, establish};
use super::subscription::SubscriptionError;
use crate::config::BrokerConfig;
use crate::contracts::Exchange;
use crate::entropy::Entropy;
use crate::lifecycle::Interruption;

/// How many messages wait at most for a replica that is slow to read.
const LENGTH_MAX: i32 = 100_000;

/// What a replica wants to hear.
#[derive(Debug, Clone, Copy)]
pub struct ExclusiveQueue {
    /// The part of the program that reads, as the queue's name begins.
    pub reader: &'static str,
    /// Where it is published.
    pub exchange: Exchange,
    /// For which routing keys.
    pub patterns: &'static [&'static str],
}

/// A consumer on a queue of its own, with its connection; a delivery counts as done when it is sent.
#[derive(Debug)]
pub struct ExclusiveSubscription {
    connection: Connection,
    // Dropped, it would close the channel and with it the consumer.
    _channel: Channel,
    consumer: Consumer,
    queue: String,
    deadline: Duration,
}

impl ExclusiveSubscription {
    /// Connects, declares the topology and the queue, binds it and consumes: what is published from now on arrives.
    pub async fn open(
        config: &BrokerConfig,
        instance: &str,
        queue: &ExclusiveQueue,
        entropy: &Entropy,
    ) -> Result<Self, Interruption> {
        let name = format!("{}.{instance}.{:016x}", queue.reader, u64::from_be_bytes(entropy.bytes()));
        let broken = |source| SubscriptionError::Broken { queue: name.clone(), source };
        let role = format!("listens for {}", queue.reader);
        within(config.connection_timeout, async {
            let connection = connect(config, instance, &role).await.map_err(broken)?;
            let needs = Needs::Exchange(queue.exchange);
            establish(&connection, config.topology, needs).await.map_err(DeclareError::interruption)?;
            let channel = connection.create_channel().await.map_err(broken)?;
            let consumer = subscribe(&channel, &name, instance, queue).await.map_err(broken)?;
            let deadline = config.connection_timeout;
            Ok(Self { connection, _channel: channel, consumer, queue: name.clone(), deadline })
        })
        .await
    }

    /// The queue's name.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The next delivery.
    pub async fn next(&mut self) -> Result<Delivery, SubscriptionError> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => Ok(delivery),
            Some(Err(source)) => Err(SubscriptionError::Broken { queue: self.queue.clone(), source }),
            None => Err(SubscriptionError::Ended(self.queue.clone())),
        }
    }

    /// Ends the connection, and with it the queue.
    pub async fn close(self) {
        // Without the farewell the broker notices by the heartbeat.
        let _ = within(self.deadline, self.connection.close(200, "done".into())).await;
    }
}

async fn subscribe(
    channel: &Channel,
    name: &str,
    instance: &str,
    queue: &ExclusiveQueue,
) -> Result<Consumer, lapin::Error> {
    let options =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(LENGTH_MAX));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    channel.queue_declare(name.into(), options, arguments).await?;
    for pattern in queue.patterns {
        let (exchange, key) = (queue.exchange.name().into(), (*pattern).into());
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(name.into(), exchange, key, options, arguments).await?;
    }
    let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(name.into(), instance.into(), options, FieldTable::default()).await
}
