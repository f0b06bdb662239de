//! Answers to those who asked by a message: each goes into the queue that the asker named, by the default exchange.
//!
//! Unconfirmed and not mandatory: an asker that is gone needs no answer, a full queue of his must hold up nobody else's, and
//! whoever misses an answer asks again. What is asked must be made for that.

use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Connection};

use super::connection::{BlockedWatch, connect, within};
use crate::config::BrokerConfig;
use crate::lifecycle::Component;
use crate::metrics::Gauge;

/// A connection for answers; one that missed a deadline is of no more use.
#[derive(Debug)]
pub struct Answers {
    connection: Connection,
    channel: Channel,
    blocked: BlockedWatch,
    deadline: Duration,
}

impl Answers {
    /// Connects. While the broker blocks the connection, `component` is down.
    pub async fn open(
        config: &BrokerConfig,
        instance: &str,
        component: &Component,
    ) -> Result<Self, lapin::Error> {
        within(config.connection_timeout, async {
            let connection = connect(config, instance, "answers").await?;
            let channel = connection.create_channel().await?;
            let blocked = BlockedWatch::of(&connection, component.clone(), Gauge::default());
            Ok(Self { connection, channel, blocked, deadline: config.connection_timeout })
        })
        .await
    }

    /// Puts `body`, which is JSON, into the queue `reply_to`, with the asker's `correlation_id`.
    pub async fn send(
        &self,
        reply_to: &str,
        correlation_id: Option<&str>,
        body: &[u8],
    ) -> Result<(), lapin::Error> {
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let properties = match correlation_id {
            Some(id) => properties.with_correlation_id(id.into()),
            None => properties,
        };
        let options = BasicPublishOptions::default();
        within(self.deadline, async {
            self.channel
                .basic_publish("".into(), reply_to.into(), options, body, properties)
                .await
                .map(|_| ())
        })
        .await
    }

    /// Whether the connection is there, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.connection.status().connected()
    }

    /// Says that the component is up, unless the broker blocks the connection now.
    pub fn up_unless_blocked(&self) {
        self.blocked.up_unless_blocked();
    }

    /// Ends the connection, once the broker doesn't block it: see [`BlockedWatch::ended`].
    pub async fn close(mut self) {
        self.blocked.ended(&self.connection).await;
        // Without the farewell the broker notices by the heartbeat.
        let _ = within(self.deadline, self.connection.close(200, "done".into())).await;
    }
}
