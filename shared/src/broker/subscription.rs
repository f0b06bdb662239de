//! One consumer on one queue, on a connection of its own.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};

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
    /// The stream of deliveries ended: the queue was deleted, or the broker cancelled the consumer.
    #[error("the broker ended the subscription to {0}")]
    Ended(String),
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
        SubscriptionError::Broken { queue: self.queue.clone(), source }
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
}

async fn consume(channel: &Channel, queue: &str, instance: &str) -> Result<Consumer, lapin::Error> {
    channel
        .basic_consume(queue.into(), instance.into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
}
