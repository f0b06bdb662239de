//! Gives a letter to its queue again, on a connection of its own: a broker that blocks publishing must not keep the letters
//! from being acknowledged.

use std::time::Duration;

use lapin::Connection;
use shared::broker::{ConfirmedChannel, Delivery, PublishError, Verdict, connect, within};
use shared::config::BrokerConfig;

use super::letter::properties_of_the_living;
use crate::config::PROGRAM;

/// A connection that publishes.
#[derive(Debug)]
pub struct Sender {
    connection: Connection,
    channel: ConfirmedChannel,
    deadline: Duration,
}

impl Sender {
    /// Connects.
    pub async fn open(config: &BrokerConfig) -> Result<Self, lapin::Error> {
        let deadline = config.connection_timeout;
        let (connection, channel) = within(deadline, async {
            let connection = connect(config, PROGRAM, "replays dead letters").await?;
            let channel = ConfirmedChannel::open(&connection, PROGRAM).await?;
            Ok::<_, lapin::Error>((connection, channel))
        })
        .await?;
        Ok(Self { connection, channel, deadline })
    }

    /// Puts a letter into `queue` as it was before its death; gives why not, if the broker won't have it.
    pub(super) async fn send(
        &self,
        delivery: &Delivery,
        queue: &str,
    ) -> Result<Result<(), String>, PublishError> {
        let properties = properties_of_the_living(&delivery.properties);
        let verdict = self.channel.publish_to_queue(queue, properties, &delivery.data, self.deadline).await?;
        Ok(match verdict {
            Verdict::Acked => Ok(()),
            Verdict::Returned(words) => Err(format!("there is no queue {queue}: {words}")),
            Verdict::Nacked => Err(format!("the queue {queue} refuses it; it may be full")),
            Verdict::Unknown => Err(format!("nobody knows whether the queue {queue} has it")),
        })
    }

    /// Ends the connection.
    pub async fn close(self) {
        // Whether the broker hears the farewell or not.
        let _ = within(self.deadline, self.connection.close(200, "done".into())).await;
    }
}
