//! One consumer on one queue, on a connection of its own.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer, ErrorKind};

use super::connection::{connect, within};
use super::declare::{DeclareError, Needs, establish};
use crate::config::BrokerConfig;
use crate::lifecycle::Interruption;

/// Why a subscription is over. It passes: subscribe again.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The connection or channel broke.
    #[error("the subscription to {queue} broke")]
    Broken {
        /// The queue.
        queue: String,
        /// What broke.
        #[source]
        source: lapin::Error,
    },
    /// A message has a name or an id that is no UTF-8, or is no AMQP: our client can't skip it, so its connection broke.
    #[error(
        "a message of {queue} can't be decoded by this program's AMQP client; RabbitMQ gives it up after as many deliveries as the \
         queue has for a limit"
    )]
    Undecodable {
        /// The queue.
        queue: String,
        /// What can't be decoded.
        #[source]
        source: lapin::Error,
    },
    /// The stream of deliveries ended: the queue was deleted, or the broker cancelled the consumer.
    #[error("the broker ended the subscription to {0}")]
    Ended(String),
}

impl SubscriptionError {
    fn of(queue: &str, source: lapin::Error) -> Self {
        let queue = queue.to_owned();
        match source.kind() {
            ErrorKind::ParsingError(_) => Self::Undecodable { queue, source },
            _ => Self::Broken { queue, source },
        }
    }
}

/// A consumer with its channel and connection; dropping it gives back to the queue whatever was not acknowledged.
#[derive(Debug)]
pub struct Subscription {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    queue: String,
    deadline: Duration,
}

impl Subscription {
    /// Connects, declares the topology, or looks whether the queue is there, and subscribes to `queue`, with at most `prefetch` deliveries in hand.
    pub async fn open(
        config: &BrokerConfig,
        instance: &str,
        queue: &str,
        prefetch: u16,
    ) -> Result<Self, Interruption> {
        let broken = |source| SubscriptionError::Broken { queue: queue.to_owned(), source };
        within(config.connection_timeout, async {
            let connection = connect(config, instance, &format!("consumes {queue}")).await.map_err(broken)?;
            let needs = Needs::Queue(queue);
            establish(&connection, config.topology, needs).await.map_err(DeclareError::interruption)?;
            let channel = connection.create_channel().await.map_err(broken)?;
            channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(broken)?;
            let consumer = consume(&channel, queue, instance).await.map_err(broken)?;
            let deadline = config.connection_timeout;
            Ok(Self { connection, channel, consumer, queue: queue.to_owned(), deadline })
        })
        .await
    }

    /// The next delivery.
    pub async fn next(&mut self) -> Result<Delivery, SubscriptionError> {
        match self.consumer.next().await {
            Some(Ok(delivery)) => Ok(delivery),
            Some(Err(source)) => Err(self.broken(source)),
            None => Err(SubscriptionError::Ended(self.queue.clone())),
        }
    }

    /// Acknowledges `delivery` and every earlier one.
    pub async fn ack_through(&self, delivery: &Delivery) -> Result<(), SubscriptionError> {
        self.ack(delivery, BasicAckOptions { multiple: true }).await
    }

    /// Acknowledges `delivery` alone.
    pub async fn ack_one(&self, delivery: &Delivery) -> Result<(), SubscriptionError> {
        self.ack(delivery, BasicAckOptions { multiple: false }).await
    }

    async fn ack(&self, delivery: &Delivery, options: BasicAckOptions) -> Result<(), SubscriptionError> {
        self.settled(within(self.deadline, delivery.acker.ack(options)).await)
    }

    fn settled(&self, result: Result<bool, lapin::Error>) -> Result<(), SubscriptionError> {
        match result {
            Ok(true) => Ok(()),
            // The channel it came by is gone: the message will come again.
            Ok(false) => Err(SubscriptionError::Ended(self.queue.clone())),
            Err(source) => Err(self.broken(source)),
        }
    }

    fn broken(&self, source: lapin::Error) -> SubscriptionError {
        SubscriptionError::of(&self.queue, source)
    }

    /// Tells the broker to send no more; deliveries in hand can still be acknowledged.
    pub async fn cancel(&self) -> Result<(), SubscriptionError> {
        let cancelled = self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        within(self.deadline, cancelled).await.map_err(|source| self.broken(source))
    }

    /// Subscribes again on the same channel, after [`Subscription::cancel`].
    pub async fn resume(&mut self, instance: &str) -> Result<(), SubscriptionError> {
        let consuming = consume(&self.channel, &self.queue, instance);
        self.consumer = within(self.deadline, consuming).await.map_err(|source| self.broken(source))?;
        Ok(())
    }

    /// Refuses a delivery for good: the broker puts it where the queue's dead letters go.
    pub async fn reject(&self, delivery: &Delivery) -> Result<(), SubscriptionError> {
        let rejected = delivery.acker.reject(BasicRejectOptions { requeue: false });
        self.settled(within(self.deadline, rejected).await)
    }

    /// Ends the connection; the queue gets back what was not acknowledged.
    pub async fn close(self) {
        // Whether the broker hears the farewell or not, it takes the messages back.
        let _ = within(self.deadline, self.connection.close(200, "done".into())).await;
    }

    /// [Closes](Subscription::close) it when its use is over. If that was because of a message that can't be decoded it is to be
    /// tried at once, until the broker gives that message up: whatever failed first, such as an acknowledgement behind it.
    pub async fn close_after<T>(mut self, result: Result<T, Interruption>) -> Result<T, Interruption> {
        let interruption = match result {
            Err(Interruption::Passing(error)) if is_undecodable(&error) => Interruption::AtOnce(error),
            Err(interruption) if !self.connection.status().connected() => {
                let undecodable = tokio::time::timeout(self.deadline, self.undecodable()).await;
                undecodable.ok().flatten().map_or(interruption, |error| Interruption::AtOnce(error.into()))
            }
            result => {
                self.close().await;
                return result;
            }
        };
        Err(interruption)
    }

    /// Looks behind the deliveries that have come and that nobody has looked at: whether the connection broke by a message.
    async fn undecodable(&mut self) -> Option<SubscriptionError> {
        loop {
            match self.next().await {
                Ok(_) => {}
                Err(error @ SubscriptionError::Undecodable { .. }) => return Some(error),
                Err(_) => return None,
            }
        }
    }
}

fn is_undecodable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(SubscriptionError::Undecodable { .. }))
}

async fn consume(channel: &Channel, queue: &str, instance: &str) -> Result<Consumer, lapin::Error> {
    channel
        .basic_consume(queue.into(), instance.into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
}
